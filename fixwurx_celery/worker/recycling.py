"""A worker that takes nothing any more begins anew: the same command, as the same process.

Its heart goes on beating when its consumer is stuck, cancelled by hand, or bound to a connection
that is dead without knowing it. What could be wrong in there is not for the heart to say; so it
rings itself, and when two such bells do not come through although the broker took them, the node
drains and is replaced.
"""

import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fixwurx_celery.processes import end_all_children
from fixwurx_celery.worker import warden

__all__ = ["Canary", "begin_anew"]

PATIENCE_S: Final = 5.0
"""How long a bell that the broker took may be on its way."""

log = logging.getLogger(__name__)


class Canary:
    """Bells for oneself, one at a time, and whether they come through.

    One alone may be lost with the broker that took it. After two in a row the consumer is deaf.
    """

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._sent_at: float | None = None
        self._received_at = 0.0
        self._is_on_its_way_out = self._one_was_lost = False

    def ring(self, order: Callable[[Callable[[float | None], None]], bool]) -> None:
        """Has one rung, unless one is still awaited or something came through just now.

        `order` says whether it will be tried, and calls what it is given afterwards: with the time
        when it was rung, or with None.
        """
        heard_s = time.monotonic() - self._received_at
        if self._is_on_its_way_out or heard_s < self._patience_s:
            return
        if self._is_awaited() and not self._is_overdue():
            return
        self._one_was_lost = self._is_overdue()
        self._is_on_its_way_out = True
        if not order(self._rung):
            self._is_on_its_way_out = False

    def received(self) -> None:
        """The consumer took something, it or another."""
        self._received_at = time.monotonic()
        self._one_was_lost = False

    def is_lost(self) -> bool:
        """Whether it should have come through long ago, and the one before it too."""
        return self._one_was_lost and self._is_overdue()

    def _rung(self, at: float | None) -> None:
        self._sent_at = at
        self._is_on_its_way_out = False

    def _is_awaited(self) -> bool:
        return self._sent_at is not None and self._received_at < self._sent_at

    def _is_overdue(self) -> bool:
        return self._is_awaited() and time.monotonic() - (self._sent_at or 0.0) > self._patience_s


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
