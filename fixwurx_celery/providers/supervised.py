"""A node as its supervisor has it."""

import contextlib
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fixwurx_celery.processes.child import Child, last_lines
from fixwurx_celery.providers.base import ProvidedState

__all__ = ["SupervisedNode"]

LINES_OF_A_LIVING: Final = 3


@dataclass(slots=True, kw_only=True)
class SupervisedNode:
    """A process that was started once and is never restarted: whether there shall be another, the
    cluster decides."""

    child: Child
    profile: str
    launched_at: float
    is_told_to_stop: bool = False
    end: str = ""
    """How it ended; empty while it runs."""
    tail: Sequence[str] = ()
    """The last lines of its log, once it has ended."""

    @classmethod
    def launch(
        cls,
        *,
        name: str,
        profile: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        folder: str | None,
        log: Path,
    ) -> "SupervisedNode":
        """Starts it. Raises OSError."""
        child = Child(
            name=name, argv=list(argv), environment=dict(environment), log=log, folder=folder
        )
        try:
            child.start()
        finally:
            child.environment = {}  # it has passwords, and is not needed any more
        return cls(child=child, profile=profile, launched_at=time.monotonic())

    @property
    def state(self) -> ProvidedState:
        """As its provider tells it."""
        if self.end:
            return ProvidedState.ENDED
        return ProvidedState.STOPPING if self.is_told_to_stop else ProvidedState.RUNNING

    def stop(self) -> None:
        """Tells its main process to end."""
        if not self.is_told_to_stop:
            self.is_told_to_stop = True
            self.child.send(signal.SIGTERM)

    def kill(self) -> None:
        """Kills its main process. What that leaves becomes the supervisor's child."""
        self.child.send(signal.SIGKILL)

    def bury(self, status: int) -> None:
        """Its main process has ended, with this status; negative for a signal."""
        self.end = f"it ended with exit status {status}"
        if status < 0:
            self.end = f"it was killed by signal {-status}"
            with contextlib.suppress(ValueError):  # one without a name
                self.end = f"it was killed by {signal.Signals(-status).name}"
        self.tail = last_lines(self.child.log)

    def as_dict(self) -> dict[str, Any]:
        """For `list`. Whether one that runs gets anywhere, and why not, is in its log alone."""
        return {
            "name": self.child.name,
            "profile": self.profile,
            "state": str(self.state),
            "age_s": round(time.monotonic() - self.launched_at, 3),
            "end": self.end,
            "tail": "\n".join(
                self.tail if self.end else last_lines(self.child.log, LINES_OF_A_LIVING)
            ),
        }

    def forget(self) -> None:
        """Removes its log."""
        self.child.log.unlink(missing_ok=True)

    @property
    def pid(self) -> int | None:
        """Its main process, while it runs."""
        return self.child.process.pid if self.child.process else None
