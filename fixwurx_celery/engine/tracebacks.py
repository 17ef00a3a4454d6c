"""Reads source lines out of what a failing command printed."""

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

PYTHON_FRAME = re.compile(r'^\s*File "(?P<path>[^"\n]+)", line (?P<line>\d+)')
COLON_FRAME = re.compile(r"^(?:\S*\()?(?P<path>[\w./@+ -]*[\w-]+\.\w{1,5}):(?P<line>\d+)(?::|\)|$)")
NEW_TRACEBACK = re.compile(
    r"^\s*(Traceback \(most recent call last\)|Exception Group Traceback"
    r"|_{3,} .+ _{3,}$|={3,} .+ ={3,}$|(Current thread|Thread) 0x)"
)
INNERMOST_FIRST = re.compile(r"most recent call first")
MAX_LINES = 200
MAX_LINE_CHARS = 2000  # the patterns take quadratic time, and a repository prints what it likes


def in_tree(root: Path) -> Callable[[str], str | None]:
    """Return a function that maps a printed path to one relative to `root`, or to None."""
    resolved = root.resolve()
    known: dict[str, str | None] = {}

    def relative(printed: str) -> str | None:
        path = Path(printed)
        candidate = path if path.is_absolute() else resolved / path
        try:
            candidate = candidate.resolve()
            if candidate.is_relative_to(resolved) and candidate.is_file():
                return candidate.relative_to(resolved).as_posix()
            if not path.is_absolute():  # printed relative to a folder below the root
                tail = PurePosixPath(printed).as_posix()
                found = [p for p in resolved.rglob(path.name) if p.as_posix().endswith("/" + tail)]
                if len(found) == 1:
                    return found[0].relative_to(resolved).as_posix()
        except (OSError, ValueError, RuntimeError):
            return None
        return None

    def cached(printed: str) -> str | None:
        if printed not in known:
            known[printed] = relative(printed.strip())
        return known[printed]

    return cached


def traceback_lines(output: str, root: Path) -> tuple[tuple[str, int, int], ...]:
    """Return (path, line, depth) for each frame in the tree, innermost first.

    Depth counts the frames in the tree from the innermost, which is 0. A line that occurs at
    several depths is given at its smallest.
    """
    relative = in_tree(root)
    best: dict[tuple[str, int], int] = {}
    group: list[tuple[str, int]] = []
    is_reversed = False

    def close_group() -> None:
        frames = group if is_reversed else list(reversed(group))
        for depth, frame in enumerate(frames):
            best[frame] = min(depth, best.get(frame, depth))
        group.clear()

    for line in output.splitlines():
        if len(line) > MAX_LINE_CHARS:
            continue
        if NEW_TRACEBACK.match(line):
            close_group()
            is_reversed = bool(INNERMOST_FIRST.search(line))
            continue
        found = PYTHON_FRAME.match(line) or COLON_FRAME.match(line)
        if found and (path := relative(found["path"])):
            frame = (path, int(found["line"]))
            if not group or group[-1] != frame:
                group.append(frame)
    close_group()
    ordered = sorted(best.items(), key=lambda item: item[1])
    return tuple((path, line, depth) for (path, line), depth in ordered[:MAX_LINES])
