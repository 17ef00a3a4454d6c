"""Tables for people, JSON for programs.

On a terminal a table fits its width: flexible columns are shortened first, then optional ones are
left out, and stderr says which. Anywhere else nothing is shortened, so that `grep` and `awk` see
all of it.
"""

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TextIO

import click
from rich.cells import cell_len

from fixwurx_celery.cli.terminal import (
    QUIET,
    shortened,
    styled,
    styled_word,
    terminal_width,
)
from fixwurx_celery.domain.words import clean

__all__ = [
    "Column",
    "age",
    "drawn",
    "fitted",
    "json_text",
    "lines_of",
    "print_fields",
    "print_json",
    "print_table",
    "verdict",
]

GAP: Final = 2
LEAST: Final = 10
"""A flexible column is not shortened below this many cells; rather an optional one goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """How one column is drawn. It has `least` cells where there is room, so that what is drawn
    again and again stays where it is."""

    title: str
    is_right: bool = False
    is_flexible: bool = False
    is_optional: bool = False
    least: int = 0


def fitted(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None
) -> tuple[list[str], list[list[str]], list[str]]:
    """The heading and the rows as padded cells, and the titles of the columns left out."""
    kept = list(range(len(columns)))
    wide = [
        max([column.least, cell_len(column.title), *(cell_len(row[i]) for row in rows)])
        for i, column in enumerate(columns)
    ]

    def excess() -> int:
        return sum(wide[i] for i in kept) + GAP * (len(kept) - 1) - (width or 0)

    if width is not None:
        shorten(columns, kept, wide, excess)
        for i in reversed(range(len(columns))):
            if excess() > 0 and columns[i].is_optional:
                kept.remove(i)
        while excess() > 0 and max(wide[i] for i in kept) > 1:  # too narrow for all of this
            widest = max(kept, key=lambda i: wide[i])
            wide[widest] -= 1
    heading = [pad(columns[i], columns[i].title.upper(), wide[i]) for i in kept]
    body = [[pad(columns[i], row[i], wide[i]) for i in kept] for row in rows]
    return heading, body, [c.title for i, c in enumerate(columns) if i not in kept]


def shorten(
    columns: Sequence[Column], kept: Sequence[int], wide: list[int], excess: Callable[[], int]
) -> None:
    """Takes what is too much from the widest flexible columns, down to LEAST."""
    while excess() > 0:
        flexible = [i for i in kept if columns[i].is_flexible and wide[i] > LEAST]
        if not flexible:
            return
        wide[max(flexible, key=lambda i: wide[i])] -= 1


def pad(column: Column, text: str, width: int) -> str:
    """The text in exactly so many cells; an ellipsis stands for what does not fit."""
    text = shortened(text, width)
    blanks = " " * (width - cell_len(text))
    return blanks + text if column.is_right else text + blanks


def drawn(
    columns: Sequence[Column],
    rows: Sequence[Sequence[object]],
    width: int | None,
    stream: TextIO | None = None,
) -> list[str]:
    """The table in lines no wider than that, its states in their styles; what does not fit is left
    out."""
    heading, body, _ = fitted(columns, [[clean(value) for value in row] for row in rows], width)
    title = (" " * GAP).join(heading).rstrip()
    return [styled(title, QUIET, stream), *(line_of(row, stream) for row in body)]


def line_of(cells: Sequence[str], stream: TextIO | None = None) -> str:
    """The cells of a row in one line."""
    last = max((i for i, cell in enumerate(cells) if cell.strip()), default=-1)
    kept = [*cells[:last], *(cell.rstrip() for cell in cells[last : last + 1])]
    return (" " * GAP).join(styled_word(cell, stream) for cell in kept)


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
    """The table on stdout, its states coloured; on stderr what did not fit."""
    cells = [[clean(value) for value in row] for row in rows]
    heading, body, left_out = fitted(columns, cells, terminal_width())
    click.echo(line_of(heading))
    for row in body:
        click.echo(line_of(row))
    if left_out:
        click.echo(
            f"not shown, the terminal is too narrow: {', '.join(left_out)} (--json has all)",
            err=True,
        )


def print_fields(fields: Sequence[tuple[str, object]]) -> None:
    """One thing's fields, a line each; long values go on below themselves on a terminal."""
    indent = max(len(name) for name, _ in fields) + GAP
    for name, value in fields:
        first, *more = lines_of(clean(value), indent)
        click.echo(f"{name:<{indent}}{styled_word(first)}".rstrip())
        for line in more:
            click.echo(" " * indent + line)


def lines_of(text: str, indent: int) -> list[str]:
    """The text in lines that fit the terminal after so many blanks; in one line elsewhere."""
    width = terminal_width()
    if width is None or width < indent + LEAST:
        return [text]
    return textwrap.wrap(text, width - indent, break_on_hyphens=False) or [""]


def print_json(value: Any) -> None:
    """The value on stdout as JSON."""
    click.echo(json_text(value, indent=2))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """The value as JSON that people can read, and in which nothing can move the cursor."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(
        char if char == "\n" or char.isprintable() else json.dumps(char)[1:-1] for char in text
    )


def age(ms: float | None) -> str:
    """A duration in one unit: `850 ms`, `12 s`, `3 min`, `5 h`, `2 d`; `-` for none."""
    if ms is None:
        return "-"
    seconds = max(0.0, ms / 1000)
    if seconds < 1:
        return f"{ms if ms > 0 else 0:.0f} ms"
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:.0f} d"


def verdict(outcome: Any) -> str:
    """An outcome in one line that is safe to show: the verdict and its reason, or any JSON."""
    if outcome is None:
        return ""
    if isinstance(outcome, Mapping) and "outcome" in outcome:
        about = outcome.get("edit") or outcome.get("reason") or ""
        return clean(f"{outcome['outcome']}: {about}" if about else outcome["outcome"])
    return clean(json.dumps(outcome, ensure_ascii=False))
