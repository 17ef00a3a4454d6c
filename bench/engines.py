"""The engines that the benchmarks run on nodes: what a bug does is what its payload says."""

import os
import time
from pathlib import Path
from typing import Any

from fixwurx_celery.engine.base import EngineBug

__all__ = ["Timed", "timed"]


class Timed:
    """Takes `sleep_s` (0: a no-op), and answers when it started and ended, and in which process.

    Sleeping is the work: a slot is held for a known time and the machine's cores stay free for
    what is measured, the hand-over from one bug to the next.
    """

    def __init__(self, sleep_s: float) -> None:
        self._sleep_s = sleep_s
        self.outcome: dict[str, Any] | None = None

    def all_done(self) -> bool:
        """Whether it has slept."""
        return self.outcome is not None

    def execute_tick(self) -> None:
        """The whole bug in one tick."""
        self.outcome = {"outcome": "FIXED", **stamps(self._sleep_s)}


def stamps(sleep_s: float) -> dict[str, Any]:
    """Sleeps, and says from when to when by this machine's clock."""
    started = time.time()
    if sleep_s:
        time.sleep(sleep_s)
    return {"pid": os.getpid(), "started": started, "ended": time.time()}


def timed(bug: EngineBug, _workspace: Path, _checkpoint: Any) -> Timed:
    """The factory: FIXWURX_ENGINE=bench.engines:timed."""
    sleep_s = bug.payload.get("sleep_s", 0)
    if not isinstance(sleep_s, int | float):
        raise TypeError(f"sleep_s must be a number of seconds, not {sleep_s!r}")
    return Timed(sleep_s)
