"""A worker that takes nothing any more begins anew: the same command, as the same process.

Its heart goes on beating when its consumer is stuck, cancelled by hand, or bound to a connection
that is dead without knowing it. What could be wrong in there is not for the heart to say; so it
rings itself, and when that bell does not come through although the broker took it, the node drains
and is replaced.
"""

import logging
import os
import sys
import time
from pathlib import Path
from typing import Final

from fixwurx_celery.worker import warden
from fixwurx_celery.worker.processes import end_all_children

__all__ = ["Canary", "begin_anew"]

PATIENCE_S: Final = 5.0

log = logging.getLogger(__name__)


class Canary:
    """One bell for oneself, and whether it came through."""

    def __init__(self) -> None:
        self._sent_at: float | None = None
        self._received_at = 0.0

    @property
    def is_out(self) -> bool:
        """Whether it was sent, and has not come back."""
        return self._sent_at is not None and self._received_at < self._sent_at

    def sent(self) -> None:
        """The broker took it."""
        self._sent_at = time.monotonic()

    def received(self) -> None:
        """The consumer took something, it or another."""
        self._received_at = time.monotonic()

    def is_lost(self) -> bool:
        """Whether it should have come through long ago."""
        return self.is_out and time.monotonic() - (self._sent_at or 0.0) > PATIENCE_S


def begin_anew(run_dir: Path) -> None:
    """Ends all that this process started, and runs its command again in its place. Returns only if
    that cannot be done."""
    end_all_children()
    warden.clear(str(run_dir))
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - ourselves
    except OSError:
        log.exception("this worker takes nothing and cannot be replaced: end it")
