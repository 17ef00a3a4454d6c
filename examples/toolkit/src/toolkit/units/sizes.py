"""Sizes of files in words."""

import re

from toolkit.errors import ParseError

_PREFIXES = ["", "Ki", "Mi", "Gi", "Ti"]
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]i)?B\s*")


def show_size(count: int) -> str:
    """At most one decimal, in the largest unit that gives at least one."""
    size = float(count)
    for prefix in _PREFIXES[:-1]:
        if size < 1024:
            break
        size /= 1024
    else:
        prefix = _PREFIXES[-1]
    text = f"{size:.1f}".removesuffix(".0")
    return f"{text} {prefix}B"


def read_size(text: str) -> int:
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ParseError(f"not a size: {text!r}", 0)
    return int(float(found[1]) * 1024 ** _PREFIXES.index(found[2] or ""))
