"""A process that the guardian keeps running."""

import contextlib
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from fixwurx_celery.worker.processes import die_with_parent

__all__ = ["Child"]


@dataclass(slots=True)
class Child:
    """A process to keep running."""

    name: str
    argv: list[str]
    environment: dict[str, str]
    log: Path
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
        guardian = os.getpid()
        try:
            self.process = subprocess.Popen(
                self.argv,
                env=self.environment,
                stdin=subprocess.PIPE if self.text else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: die_with_parent(guardian),
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
