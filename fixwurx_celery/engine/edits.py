"""Which files a patch may touch: never the tests that judge it, and only `files` where given."""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

TEST_FOLDERS = frozenset({"test", "tests", "testing", "__tests__", "spec", "specs"})
TEST_NAMES = re.compile(
    r"(test_.*|.*_tests?|tests?|conftest)\.py$|.*[._-](test|spec)\.[cm]?[jt]sx?$|.*_test\.go$"
    r"|.*(Test|Tests|Spec)\.(java|kt|cs|scala)$|.*_(test|spec)\.rb$",
)
# What decides which tests run, or is imported before them.
JUDGES = frozenset(
    {"pytest.ini", "pytest.toml", ".pytest.ini", "tox.ini", "setup.cfg", "pyproject.toml",
     "noxfile.py", "sitecustomize.py", "usercustomize.py", "pytest.py", "unittest.py"}
)  # fmt: skip


def is_test_file(path: str) -> bool:
    """Tell whether `path`, relative to the root, is by its name or folder part of the tests."""
    parts = PurePosixPath(path).parts
    return bool(TEST_NAMES.match(parts[-1])) or any(part in TEST_FOLDERS for part in parts[:-1])


@lru_cache(maxsize=512)
def _pattern(glob: str) -> re.Pattern[str]:
    out = ""
    for token in re.findall(r"\*\*/?|\*|\?|\[[^]]+\]|[^*?[]+|\[", glob.rstrip("/")):
        if token.startswith("**"):
            out += "(?:.*/)?" if token.endswith("/") else ".*"
        elif token == "*":  # noqa: S105 - a glob, not a password
            out += "[^/]*"
        elif token == "?":  # noqa: S105 - likewise
            out += "[^/]"
        elif token.startswith("[") and token.endswith("]"):
            out += "[^" + token[2:] if token[1] == "!" else token
        else:
            out += re.escape(token)
    return re.compile(out + "(?:/.*)?$")


def matches(path: str, globs: Iterable[str]) -> bool:
    """Tell whether one of `globs` names `path` or a folder above it; `*` stops at a slash."""
    return any(_pattern(glob.removeprefix("./")).match(path) for glob in globs)


def named_paths(command: str) -> frozenset[str]:
    """The words of a shell command that could be paths, without pytest's `::` part."""
    try:
        words = shlex.split(command, posix=True)
    except ValueError:
        words = command.split()
    found = set()
    for word in words:
        path = word.split("::")[0].strip("();&|<>").removeprefix("./").rstrip("/")
        if path and not path.startswith("-"):
            found.add(path)
    return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRules:
    """The rules of one bug: `files` as given (may be empty), and the commands that judge."""

    files: tuple[str, ...]
    commands: tuple[str, ...]

    def refusal(self, path: str) -> str | None:
        """Say why a patch must not touch `path`, or return None."""
        is_allowed = matches(path, self.files)
        is_named = any(path in named_paths(command) for command in self.commands)
        if is_test_file(path) and (is_named or not is_allowed):
            return f"edits {path}, a test file; a fix must not change the tests that judge it"
        if is_allowed:
            return None
        if self.files:
            return f"edits {path}, outside files ({', '.join(self.files)})"
        if is_named:
            return f"edits {path}, which the commands name; list it under files to allow that"
        if PurePosixPath(path).name in JUDGES:
            return f"edits {path}, which configures the tests; list it under files to allow that"
        return None
