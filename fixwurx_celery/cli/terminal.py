"""What a terminal can show: its size, whether it can be drawn over, styles for any background."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO

import click
from rich.cells import cell_len, set_cell_size

__all__ = [
    "BAD",
    "GOOD",
    "PASSING",
    "QUIET",
    "STRONG",
    "fitting",
    "is_live",
    "shortened",
    "size_of",
    "styled",
    "styled_word",
    "terminal_width",
]

GOOD, BAD, PASSING, QUIET, STRONG = "good", "bad", "passing", "quiet", "strong"
STYLES: Final[Mapping[str, Mapping[str, Any]]] = {
    # Red, green and magenta are read on white and on black, in the palettes that terminals come
    # with; yellow and cyan are not on white, bright black is on neither. What a colour says, a word
    # says too.
    GOOD: {"fg": "green"},
    BAD: {"fg": "red"},
    PASSING: {"fg": "magenta"},
    QUIET: {"dim": True},
    STRONG: {"bold": True},
}
WORDS: Final[Mapping[str, str]] = {
    "READY": GOOD, "STARTING": PASSING, "STOPPING": PASSING, "OFFLINE": QUIET, "ERROR": BAD,
    "DONE": GOOD, "ESCALATED": BAD, "CANCELLED": QUIET,
    "FIXED": GOOD, "NOT_FIXED": PASSING, "NOT_REPRODUCED": PASSING, "TIMED_OUT": BAD,
    "OK": GOOD, "WARN": PASSING, "FAIL": BAD, "REFUSED": BAD,
}  # fmt: skip
"""States and verdicts that have a style. The usual ones have none, so that the others are seen."""

WITHOUT_CURSOR: Final = ("", "dumb", "unknown")


def is_live(stream: TextIO) -> bool:
    """Whether what is written there can be drawn over: a terminal with a cursor. A log that is read
    later is none, also where a CI system makes it look like one."""
    return (
        stream.isatty()
        and os.environ.get("TERM", "") not in WITHOUT_CURSOR
        and os.environ.get("CI", "").lower() in ("", "0", "false")
    )


def size_of(stream: TextIO) -> tuple[int, int]:
    """Columns and rows of the terminal, as they are now."""
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except OSError:
        columns = rows = 0
    if not (columns and rows):
        columns, rows = shutil.get_terminal_size()
    return columns, rows


def terminal_width() -> int | None:
    """Cells in a line of the terminal; None when stdout is none."""
    return size_of(sys.stdout)[0] if sys.stdout.isatty() else None


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """The text in that style, where the stream (stdout) shows styles and nobody said NO_COLOR."""
    if not style or os.environ.get("NO_COLOR") or not is_live(stream or sys.stdout):
        return text
    return click.style(text, **STYLES[style])


def styled_word(text: str, stream: TextIO | None = None) -> str:
    """A state or verdict, blanks around it included, in its style."""
    return styled(text, WORDS.get(text.strip(), ""), stream)


def shortened(text: str, width: int) -> str:
    """The text in at most so many cells; an ellipsis stands for what does not fit."""
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)) + "…"


def fitting(parts: Sequence[tuple[int, str]], width: int | None, gap: str = ", ") -> str:
    """The parts in a line, as many as fit; those with higher numbers go first."""
    kept = [part for part in parts if part[1]]
    while width is not None and len(kept) > 1 and cell_len(gap.join(t for _, t in kept)) > width:
        kept.remove(max(kept, key=lambda part: part[0]))
    line = gap.join(text for _, text in kept)
    return line if width is None else shortened(line, width)
