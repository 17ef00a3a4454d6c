"""The engines that the benchmarks run on nodes: what a bug does is what its payload says."""

import os
import time
from pathlib import Path
from typing import Any

from fixwurx_celery.engine.base import EngineBug

__all__ = ["Timed", "Working", "timed", "working"]


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


class Working:
    """Works in steps of a hundredth of a second; its checkpoint is how many are done."""

    phase = "ANALYZE"

    def __init__(self, steps: int, done: int) -> None:
        self._steps, self._done, self._resumed_after = steps, done, done

    def all_done(self) -> bool:
        """Whether every step is done."""
        return self._done >= self._steps

    def execute_tick(self) -> None:
        """One step."""
        time.sleep(0.01)
        self._done += 1

    def checkpoint(self) -> int:
        """The steps that need not be done again."""
        return self._done

    @property
    def outcome(self) -> dict[str, Any]:
        """How much of the work this run found done."""
        return {"outcome": "FIXED", "steps": self._done, "resumed_after": self._resumed_after}


def working(bug: EngineBug, _workspace: Path, checkpoint: Any) -> Working:
    """The factory: FIXWURX_ENGINE=bench.engines:working; `steps` says how long it takes."""
    steps = bug.payload.get("steps", 0)
    if not isinstance(steps, int):
        raise TypeError(f"steps must be a whole number, not {steps!r}")
    return Working(steps, int(checkpoint or 0))


def timed(bug: EngineBug, _workspace: Path, _checkpoint: Any) -> Timed:
    """The factory: FIXWURX_ENGINE=bench.engines:timed."""
    sleep_s = bug.payload.get("sleep_s", 0)
    if not isinstance(sleep_s, int | float):
        raise TypeError(f"sleep_s must be a number of seconds, not {sleep_s!r}")
    return Timed(sleep_s)
