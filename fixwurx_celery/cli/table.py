"""Tables for people, JSON for programs.

On a terminal a table fits its width: flexible columns are shortened first, then optional ones are
left out, and stderr says which. Anywhere else nothing is shortened, so that `grep` and `awk` see
all of it.
"""

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click
from rich.cells import cell_len, set_cell_size

__all__ = [
    "COLOURS",
    "Column",
    "age",
    "clean",
    "colour_of",
    "drawn",
    "fitted",
    "harmless",
    "lines_of",
    "print_fields",
    "print_json",
    "print_table",
    "terminal_size",
    "terminal_width",
    "verdict",
]

GAP: Final = 2
LEAST: Final = 10
"""A flexible column is not shortened below this many cells; rather an optional one goes."""

COLOURS: Final[Mapping[str, str]] = {
    "READY": "green", "BUSY": "cyan", "STARTING": "yellow", "STOPPING": "yellow",
    "OFFLINE": "bright_black", "ERROR": "red",
    "PENDING": "yellow", "ASSIGNED": "cyan", "RUNNING": "cyan", "RESERVED": "cyan",
    "DONE": "green", "ESCALATED": "red", "CANCELLED": "bright_black",
    "OK": "green", "WARN": "yellow", "FAIL": "red", "REFUSED": "red",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """How one column is drawn."""

    title: str
    is_right: bool = False
    is_flexible: bool = False
    is_optional: bool = False


def terminal_size() -> tuple[int, int] | None:
    """Columns and rows of the terminal; None when stdout is none."""
    if not sys.stdout.isatty():
        return None
    size = shutil.get_terminal_size()
    return size.columns, size.lines


def terminal_width() -> int | None:
    """Cells in a line of the terminal; None when stdout is none."""
    size = terminal_size()
    return size[0] if size else None


def colour_of(text: str) -> str | None:
    """The colour of a state or verdict on a terminal that wants colours."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return None
    return COLOURS.get(text.strip())


def clean(value: object) -> str:
    """The value as one line that cannot move the cursor, whoever wrote it."""
    text = " ".join(str(value).split())
    return "".join(char if char.isprintable() else "�" for char in text)


def harmless(text: str) -> str:
    """The lines as they are; for a terminal, without what could do anything but show them: a
    repository's tests print what they like."""
    if not sys.stdout.isatty():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else "�" for char in text)


def fitted(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None
) -> tuple[list[str], list[list[str]], list[str]]:
    """The heading and the rows as padded cells, and the titles of the columns left out."""
    kept = list(range(len(columns)))
    wide = [
        max([cell_len(column.title), *(cell_len(row[i]) for row in rows)])
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
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    blanks = " " * (width - cell_len(text))
    return blanks + text if column.is_right else text + blanks


def drawn(
    columns: Sequence[Column], rows: Sequence[Sequence[object]], width: int | None
) -> list[str]:
    """The table in lines no wider than that, its states coloured; what does not fit is left out."""
    heading, body, _ = fitted(columns, [[clean(value) for value in row] for row in rows], width)
    return [line_of(heading), *(line_of(row) for row in body)]


def line_of(cells: Sequence[str]) -> str:
    """The cells of a row in one line."""
    styled = [click.style(cell, fg=colour_of(cell)) if colour_of(cell) else cell for cell in cells]
    return (" " * GAP).join(styled).rstrip()


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
        text = clean(value)
        colour = colour_of(text)
        first, *more = lines_of(text, indent)
        click.echo(f"{name:<{indent}}{click.style(first, fg=colour) if colour else first}".rstrip())
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
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


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
    """An outcome in one line: the verdict and its reason, or any JSON as it is."""
    if outcome is None:
        return ""
    if isinstance(outcome, Mapping) and "outcome" in outcome:
        about = outcome.get("edit") or outcome.get("reason") or ""
        return f"{outcome['outcome']}: {about}" if about else str(outcome["outcome"])
    return json.dumps(outcome, ensure_ascii=False)
