"""A process of ours with a log of its own, which dies with its parent."""

import contextlib
import os
import subprocess
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fixwurx_celery.processes import die_with_parent

__all__ = ["Child", "buried", "last_lines"]

MOST_LOG_BYTES: Final = 32 * 2**20
LOG_LINES: Final = 15


@dataclass(slots=True)
class Child:
    """A process to keep running, or one that runs once."""

    name: str
    argv: list[str]
    environment: dict[str, str] = field(repr=False)
    log: Path
    folder: str | None = None
    delay_s: float = 0.0
    text: str = ""
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    quick_deaths: int = 0
    start_at: float | None = None
    has_run: bool = False

    def start(self) -> None:
        """Starts it. Its log is emptied at the first start and appended to after that."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (0 if self.has_run else os.O_TRUNC)
        log = os.open(self.log, flags, 0o600)
        parent = os.getpid()
        try:
            self.process = subprocess.Popen(
                self.argv,
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.PIPE if self.text else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: die_with_parent(parent),
            )
        finally:
            os.close(log)
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(self.text.encode())
                self.process.stdin.close()
        self.has_run, self.started_at, self.start_at = True, time.monotonic(), None

    def send(self, number: int) -> None:
        """Sends the signal, if it runs."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def bound_log(self) -> None:
        """Empties its log when that has grown too large."""
        with contextlib.suppress(OSError):
            if self.log.stat().st_size > MOST_LOG_BYTES:
                os.truncate(self.log, 0)


def buried(children: Collection[Child]) -> Iterator[tuple[Child, int]]:
    """Reaps all that has died below this process; those of `children`, with the status in which
    each ended, negative for a signal."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        for child in children:
            if child.process is not None and child.process.pid == pid:
                child.process.returncode = os.waitstatus_to_exitcode(status)
                child.process = None
                yield child, os.waitstatus_to_exitcode(status)


def last_lines(path: Path, most: int = LOG_LINES) -> list[str]:
    """The last lines of a file that may be large, or not be there."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-most:]
