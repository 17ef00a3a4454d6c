"""Plain text tables."""

from collections.abc import Sequence
from typing import Any


def column_widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Numbers to the right, everything else to the left."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = column_widths([list(header), *cells])
    lines = ["  ".join(h.ljust(w) for h, w in zip(header, widths, strict=True)).rstrip()]
    lines.append("  ".join("-" * w for w in widths))
    for row, texts in zip(rows, cells, strict=True):
        aligned = [
            text.rjust(width) if isinstance(value, (int, float)) else text.ljust(width)
            for value, text, width in zip(row, texts, widths, strict=True)
        ]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)
