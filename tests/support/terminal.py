"""A terminal that a command runs in: what it shows, keystrokes, another size, what is left."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyte

from tests.support.waiting import wait_until

__all__ = ["Terminal", "terminal"]


@dataclass(slots=True)
class Terminal:
    """The screen of a pseudo-terminal, and the process that writes to it."""

    columns: int
    rows: int
    process: "subprocess.Popen[bytes]"
    _ours: int
    _theirs: int
    written: bytearray = field(default_factory=bytearray)
    is_closed: bool = False
    _screen: Any = None
    _stream: Any = None

    def __post_init__(self) -> None:
        self._screen = pyte.Screen(self.columns, self.rows)
        self._stream = pyte.ByteStream(self._screen)

    def read(self, for_s: float = 0.0) -> None:
        """Takes in what the process writes in that time; nothing once the terminal is closed."""
        if self.is_closed:
            return
        deadline = time.monotonic() + for_s
        while True:
            left_s = max(0.0, deadline - time.monotonic())
            if not select.select([self._ours], [], [], left_s)[0]:
                return
            try:
                data = os.read(self._ours, 65536)
            except OSError:  # Linux's way of saying that nobody has it open
                return
            if not data:
                return
            self.written += data
            self._stream.feed(data)

    def lines(self) -> list[str]:
        """What is on the screen now, without blanks at the ends of lines."""
        self.read()
        return [line.rstrip() for line in self._screen.display]

    def text(self) -> str:
        """The lines, without empty ones at the end."""
        return "\n".join(self.lines()).rstrip("\n")

    def style(self, word: str) -> Any:
        """How the first cell of the first such word on the screen is drawn."""
        for y, line in enumerate(self.lines()):
            if (x := line.find(word)) >= 0:
                return self._screen.buffer[y][x]
        raise AssertionError(f"{word!r} is not on the screen:\n{self.text()}")

    def shows(self, what: str, look: Callable[[str], object], *, within_s: float = 20) -> str:
        """The text of the screen, once it is so."""

        def seen() -> str:
            self.read(0.05)
            text = self.text()
            return text if look(text) else ""

        try:
            return wait_until(what, seen, within_s=within_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen:\n{self.text()}") from error

    def resize(self, columns: int, rows: int) -> None:
        """As a person does it: the foreground process is told."""
        self.columns, self.rows = columns, rows
        self._screen.resize(rows, columns)
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        """Types these. `\\x03` is Ctrl-C, `\\x1a` Ctrl-Z."""
        os.write(self._ours, keys)

    def attributes(self) -> list[Any]:
        """How it is set: echo, line by line, and so on."""
        return termios.tcgetattr(self._theirs)

    @property
    def has_cursor(self) -> bool:
        """Whether the cursor is visible, as a shell needs it."""
        self.read()
        return not self._screen.cursor.hidden

    @property
    def is_own_screen(self) -> bool:
        """Whether what is drawn lies over what was there before, as an editor's picture does."""
        self.read()
        return self.written.rfind(b"\x1b[?1049h") > self.written.rfind(b"\x1b[?1049l")

    def ends(self, within_s: float = 20) -> int:
        """The exit status. It is read from until then."""

        def is_over() -> bool:
            self.read(0.02)
            return self.process.poll() is not None

        wait_until(f"{self.process.args!r} ends", is_over, within_s=within_s)
        self.read(0.05)
        return int(self.process.returncode)


@contextlib.contextmanager
def terminal(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    *,
    columns: int = 80,
    rows: int = 24,
    folder: Path | None = None,
    stdout: Any = None,
) -> Iterator[Terminal]:
    """The command in the foreground of a terminal of that size; `stdout` may go elsewhere."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        # Whoever started this suite in the background may have had interrupts ignored.
        for number in (signal.SIGINT, signal.SIGTSTP):
            signal.signal(number, signal.SIG_DFL)

    process = subprocess.Popen(
        [str(part) for part in command],
        env=environment,
        cwd=folder,
        stdin=theirs,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
        preexec_fn=take_terminal,
    )
    made = Terminal(columns, rows, process, ours, theirs)
    try:
        yield made
    finally:
        made.is_closed = True
        if process.poll() is None:
            process.kill()
            process.wait(timeout=10)
        os.close(ours)
        os.close(theirs)
