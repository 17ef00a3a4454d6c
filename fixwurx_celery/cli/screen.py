"""A screen of its own on the terminal, for as long as it is drawn on; then all is as it was.

Only what has changed is written, in one go, and nothing is erased that is drawn again: no flicker,
and little to send. Ctrl-Z, and the signals that end a process, give the terminal back too.
"""

import contextlib
import os
import select
import signal
import sys
import termios
import time
from collections.abc import Sequence
from enum import Enum, auto
from types import FrameType
from typing import Any, Final

import click
from rich.cells import cell_len

from fixwurx_celery.cli.terminal import size_of

__all__ = ["Screen", "Wake"]

ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J"
LEAVE: Final = "\x1b[?25h\x1b[?1049l"
QUIT: Final = b"qQ"
ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


class Wake(Enum):
    """Why `wait` came back."""

    NEWS = auto()
    """Somebody called `wake`, or the time is over."""
    ANOTHER_SIZE = auto()
    QUIT = auto()


class Screen:
    """Used by the main thread, as a context. Ctrl-C is a KeyboardInterrupt there, as ever."""

    def __init__(self) -> None:
        self._drawn: list[str] = []
        self._input = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._settings: list[Any] | None = None
        self._handlers: dict[int, Any] = {}
        self._size = (0, 0)
        self._wake, self._wake_write = os.pipe()
        for end in (self._wake, self._wake_write):
            os.set_blocking(end, False)

    def __enter__(self) -> "Screen":
        self._handlers = {number: signal.signal(number, self._end) for number in ENDING}
        self._handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda *_: self.wake())
        self._handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._suspend)
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._wake)
        os.close(self._wake_write)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows, as they are now."""
        return size_of(sys.stdout)

    def draw(self, lines: Sequence[str]) -> None:
        """Shows these lines, none of which is wider than the screen, from its top on."""
        size = self.size
        if size != self._size:  # who resized it may have moved what was there
            self._size, self._drawn = size, []
            self._write("\x1b[H\x1b[2J")
        lines = list(lines[: size[1]])
        changes = []
        for row, line in enumerate(lines):
            before = self._drawn[row] if row < len(self._drawn) else ""
            if line != before:
                blanks = " " * (width(before) - width(line))
                changes.append(f"\x1b[{row + 1};1H{line}{blanks}")
        if len(lines) < len(self._drawn):
            changes.append(f"\x1b[{len(lines) + 1};1H\x1b[J")
        self._drawn = lines
        self._write("".join(changes))

    def wait(self, seconds: float) -> Wake:
        """Returns when the time is over, or somebody wakes it, or a key or another size asks for
        something."""
        until = time.monotonic() + seconds
        watched = [self._wake] if self._input is None else [self._wake, self._input]
        while True:
            left_s = until - time.monotonic()
            ready = select.select(watched, [], [], max(0.0, left_s))[0]
            if self._wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 4096)
            if self._input in ready and self._quits():
                return Wake.QUIT
            if self.size != self._size:
                return Wake.ANOTHER_SIZE
            if self._wake in ready or left_s <= 0:
                return Wake.NEWS

    def wake(self) -> None:
        """Has `wait` come back. For any thread."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"w")

    def _quits(self) -> bool:
        keys = os.read(self._input or 0, 1024)
        if not keys:  # nobody is at the keyboard any more
            self._input = None
        return any(key in QUIT for key in keys)

    # -- the terminal ----------------------------------------------------------------------

    def _take(self) -> None:
        if self._input is not None:
            self._settings = termios.tcgetattr(self._input)
            quiet = termios.tcgetattr(self._input)
            quiet[3] &= ~(termios.ECHO | termios.ICANON)
            termios.tcsetattr(self._input, termios.TCSADRAIN, quiet)
        self._size, self._drawn = (0, 0), []
        self._write(ENTER)

    def _give_back(self) -> None:
        self._write(LEAVE)
        if self._input is not None and self._settings is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._input, termios.TCSAFLUSH, self._settings)

    def _write(self, text: str) -> None:
        data = memoryview(text.encode(sys.stdout.encoding or "utf-8", "replace"))
        with contextlib.suppress(OSError):  # the terminal has gone, and soon this process
            while data:
                data = data[os.write(sys.stdout.fileno(), data) :]

    def _end(self, number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    def _suspend(self, number: int, _: FrameType | None) -> None:
        self._give_back()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # returns when it is told to go on
        signal.signal(number, self._suspend)
        self._take()
        self.wake()


def width(line: str) -> int:
    """The cells of a styled line."""
    return cell_len(click.unstyle(line))
