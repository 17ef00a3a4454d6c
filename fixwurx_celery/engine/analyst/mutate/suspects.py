"""Which files may be edited, and how suspicious each of their lines is."""

import fnmatch
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import libcst as cst

from fixwurx_celery.engine.analyst.base import Case
from fixwurx_celery.engine.analyst.mutate.source import Source

Line = tuple[str, int]
OUTSIDE_TESTS = 0.45  # module level: tables and constants run at import, before any test
SIGNATURE = 0.5  # defaults of parameters are evaluated there, not in the body
OBSERVED = 0.8  # the observer's spectrum against ours, which also knows about endless loops
FILES_MAX = 12
SKIPPED_FOLDERS = {".git", ".venv", "venv", "node_modules", "__pycache__", "build", "dist", ".tox"}


def is_test(path: str) -> bool:
    """Whether `path` looks like a test or its support, which a repair must not touch."""
    pure = PurePosixPath(path)
    return (
        pure.name.startswith("test_")
        or pure.name.endswith("_test.py")
        or pure.name in ("conftest.py", "setup.py", "tests.py", "noxfile.py")
        or bool({"tests", "test", "testing"} & set(pure.parts[:-1]))
    )


def editable(case: Case) -> tuple[str, ...]:
    """Return the files to edit: those the manifest names, else those the failure touched."""
    observed = case.observation.files if case.observation else ()
    if case.files:
        every = list(_tree(case.source))
        found = [path for path in every if any(_matches(path, glob) for glob in case.files)]
        place = {path: index for index, path in enumerate(observed)}
        found.sort(key=lambda path: (place.get(path, len(place)), path))
        return tuple(found[: 4 * FILES_MAX])
    found = [path for path in observed if path.endswith(".py") and not is_test(path)]
    found = [path for path in found if (case.source / path).is_file()]
    if not found:
        found = [path for path in _tree(case.source) if not is_test(path)]
    return tuple(found[:FILES_MAX])


def _matches(path: str, glob: str) -> bool:
    glob = glob.removeprefix("./")
    return fnmatch.fnmatch(path, glob) or path.startswith(glob.rstrip("/") + "/")


def _tree(root: Path) -> Iterable[str]:
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if not SKIPPED_FOLDERS & set(relative.parts):
            yield relative.as_posix()


def spread(
    source: Source, accused: Mapping[Line, float], observed: Mapping[Line, float]
) -> dict[Line, float]:
    """Return the suspicion of every line of `source`, each statement sharing its lines' worst."""
    path = source.path
    own: dict[int, float] = {}
    for (name, line), value in observed.items():
        if name == path:
            own[line] = OBSERVED * value
    for (name, line), value in accused.items():
        if name == path:
            own[line] = max(own.get(line, 0.0), value)
    top = max(own.values(), default=0.0)
    if not top:
        return {(path, line): 0.3 for line in range(1, source.text.count("\n") + 2)}
    for node in source.nodes:
        match node:
            case cst.SimpleStatementLine():
                lines = source.lines(node)
            case cst.If() | cst.While() | cst.For() | cst.With() | cst.Try():
                lines = range(source.line(node), source.line(node.body))
            case _:
                continue
        if len(lines) > 1:
            worst = max((own.get(line, 0.0) for line in lines), default=0.0)
            own.update(dict.fromkeys(lines, worst))
        if source.scopes[node].outer is None or source.scopes[node].is_class:
            for line in lines:
                own[line] = max(own.get(line, 0.0), OUTSIDE_TESTS * top)
    for node in source.nodes:
        if not isinstance(node, cst.FunctionDef):
            continue
        body = max((own.get(line, 0.0) for line in source.lines(node.body)), default=0.0)
        for line in range(source.line(node), source.line(node.body)):
            own[line] = max(own.get(line, 0.0), SIGNATURE * body)
    return {(path, line): value for line, value in own.items()}
