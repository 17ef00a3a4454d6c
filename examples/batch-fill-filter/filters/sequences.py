"""Filters that cut a sequence into rows or columns."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any


def batch(items: Iterable[Any], width: int, fill: Any = None) -> Iterator[list[Any]]:
    """Rows of `width` items; the last one is filled up when `fill` is given."""
    row: list[Any] = []
    for item in items:
        if len(row) == width:
            yield row
            row = []
        row.append(item)
    if row:
        if fill is not None and len(row) < width:
            row += [fill] * (width - len(row) - 1)
        yield row


def slices(items: Sequence[Any], columns: int, fill: Any = None) -> Iterator[list[Any]]:
    """`columns` lists of nearly equal length, the longer ones first."""
    per_column, longer = divmod(len(items), columns)
    start = 0
    for number in range(columns):
        end = start + per_column + (number < longer)
        column = list(items[start:end])
        if fill is not None and longer and number >= longer:
            column.append(fill)
        yield column
        start = end


def join_words(words: Sequence[str], last: str = "and") -> str:
    """A list in prose."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"
