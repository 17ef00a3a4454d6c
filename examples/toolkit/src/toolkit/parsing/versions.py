"""Comparing versions."""

import functools
import re

from toolkit.errors import ParseError

_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(?:-?(a|b|rc)(\d+))?")
_STAGES = {"a": 0, "b": 1, "rc": 2, None: 3}


@functools.total_ordering
class Version:
    def __init__(self, text: str) -> None:
        found = _VERSION.fullmatch(text)
        if found is None:
            raise ParseError(f"not a version: {text!r}", 0)
        numbers = [int(n) for n in found[1].split(".")]
        while len(numbers) > 1 and numbers[-1] == 0:
            numbers.pop()
        self.text = text
        self._key = (tuple(numbers), _STAGES[found[2]], int(found[3] or 0))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key == other._key

    def __lt__(self, other: "Version") -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)


def latest(texts: list[str], *, stable: bool = True) -> str | None:
    """The newest one; without pre-releases unless there is nothing else."""
    versions = [Version(text) for text in texts]
    if stable:
        versions = [v for v in versions if v._key[1] == 3] or versions
    return max(versions).text if versions else None
