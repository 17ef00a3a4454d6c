"""The last lines of a terminal, drawn again and again while what was said scrolls up above them.

They are written over in place, in one go and without an empty moment. The cursor stays where it is
and visible, so that a process that is killed leaves the terminal as it should be.
"""

import contextlib
import os
from collections.abc import Sequence
from typing import TextIO

import click
from rich.cells import cell_len

from fixwurx_celery.cli.terminal import size_of

__all__ = ["Footer"]


class Footer:
    """Lines at the bottom of the stream's terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn: list[str] = []

    @property
    def width(self) -> int:
        """How many cells a line may have: one less than there are, so that none wraps."""
        return max(1, size_of(self._stream)[0] - 1)

    @property
    def height(self) -> int:
        """How many lines there may be, above which there is still something to be seen."""
        return max(1, size_of(self._stream)[1] - 2)

    def draw(self, lines: Sequence[str], *, above: str = "") -> None:
        """Shows these lines at the bottom; what is to stay `above` them is written first."""
        lines = list(lines)
        if lines == self._drawn and not above:
            return
        kept = [f"{line}\x1b[K\r\n" for line in above.split("\n")] if above else []
        body = "\r\n".join(f"{line}\x1b[K" for line in lines)
        self._write(f"{self._to_top()}{''.join(kept)}{body}\x1b[J")
        self._drawn = lines

    def erase(self) -> None:
        """Nothing is left of it, and the cursor stands where it began."""
        if self._drawn:
            self._write(f"{self._to_top()}\x1b[J")
            self._drawn = []

    def _to_top(self) -> str:
        """To the beginning of what is drawn. Terminals that were made narrower have broken lines in
        two; most do, and where one does not, a line above is drawn over."""
        columns = size_of(self._stream)[0]
        rows = sum(max(1, -(-cell_len(click.unstyle(line)) // columns)) for line in self._drawn)
        return f"\r\x1b[{rows - 1}A" if rows > 1 else "\r"

    def _write(self, text: str) -> None:
        data = memoryview(text.encode(self._stream.encoding or "utf-8", "replace"))
        self._stream.flush()
        with contextlib.suppress(OSError):  # the terminal has gone
            while data:
                data = data[os.write(self._stream.fileno(), data) :]
