"""The four clocks of a bug, one of which runs at any time until it ends, and what bounds them.

    in line, assigned ──start──▶ TRIAGE ──▶ REPRO, ANALYZE, PATCH, any other phase ◀──▶ VERIFY
         waiting                 set-up                    run                         verify

The store adds up what each has counted over all runs of a bug, and ends one that waits too long.
`RunClocks` bounds the others for one run, where it runs.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final

__all__ = [
    "CLOCKS_OF_A_RUN",
    "DEFAULT_SETUP_S",
    "MAX_SECONDS",
    "BugClock",
    "Phase",
    "RunClocks",
    "checked_limits",
    "clock_of",
]

MAX_SECONDS: Final = 7 * 86400
DEFAULT_SETUP_S: Final = 600.0
"""Set-up has a limit of its own also where none is given, so that a slow clone is not charged to
the time that the work may take."""


class Phase(StrEnum):
    """How far a bug's engine is, in FixWurx's words."""

    WAIT = "WAIT"
    TRIAGE = "TRIAGE"
    REPRO = "REPRO"
    ANALYZE = "ANALYZE"
    PATCH = "PATCH"
    VERIFY = "VERIFY"
    DONE = "DONE"
    ESCALATE = "ESCALATE"


class BugClock(StrEnum):
    """What the time of a bug is spent on, as `limits` names it."""

    WAITING = "waiting"
    SETUP = "setup"
    RUN = "run"
    VERIFY = "verify"

    @property
    def word(self) -> str:
        """Its name in a sentence."""
        return "set-up" if self is BugClock.SETUP else str(self)


CLOCKS_OF_A_RUN: Final = (BugClock.SETUP, BugClock.RUN, BugClock.VERIFY)


def clock_of(phase: str) -> BugClock:
    """The clock that runs while a started bug is in this phase, as lua/lib/2_clocks.lua has it.

    What is not known to be anything else is the run's: it is what `timeout` bounds.
    """
    match phase:
        case Phase.TRIAGE:
            return BugClock.SETUP
        case Phase.VERIFY:
            return BugClock.VERIFY
        case _:
            return BugClock.RUN


def checked_limits(limits: Mapping[str, Any]) -> None:
    """Raises ValueError for a clock that there is not, or seconds that are none."""
    if not isinstance(limits, Mapping):
        raise ValueError(f"limits {limits!r} must be seconds by clock, e.g. {{'setup': 900}}")
    for name, seconds in limits.items():
        if name not in [*BugClock]:
            close = get_close_matches(str(name), [*BugClock], n=1)
            meant = f"did you mean {close[0]}?" if close else f"clocks are {', '.join(BugClock)}"
            raise ValueError(f"limits names no clock with {name!r}; {meant}")
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not is_number or not 0 < seconds <= MAX_SECONDS:
            raise ValueError(f"limits.{name} {seconds!r} must lie above 0 s and within 7 days")


class RunClocks:
    """The clocks of one run: each is bounded by its own limit, those without one by `timeout_s`
    together. Times are the caller's, by a clock that only goes forward."""

    def __init__(self, timeout_s: float, limits: Mapping[str, float], now: float) -> None:
        self._timeout_s = timeout_s
        self._limits = {BugClock.SETUP: DEFAULT_SETUP_S} | {
            BugClock(name): seconds for name, seconds in limits.items()
        }
        self._spent = dict.fromkeys(CLOCKS_OF_A_RUN, 0.0)
        self._phase, self._since = str(Phase.TRIAGE), now

    def enter(self, phase: str, now: float) -> None:
        """From now on the bug is in this phase."""
        self._spent[clock_of(self._phase)] += now - self._since
        self._phase, self._since = phase, now

    @property
    def deadline(self) -> float:
        """When the run is over, if it stays in this phase."""
        clock = clock_of(self._phase)
        if clock in self._limits:
            return self._since + self._limits[clock] - self._spent[clock]
        shared = (each for each in CLOCKS_OF_A_RUN if each not in self._limits)
        return self._since + self._timeout_s - sum(self._spent[each] for each in shared)

    @property
    def limit_s(self) -> float:
        """How many seconds what sets the deadline allows."""
        return self._limits.get(clock_of(self._phase), self._timeout_s)

    def shown_s(self, now: float) -> float:
        """How many of them are spent."""
        return self.limit_s - (self.deadline - now)

    @property
    def bound(self) -> str:
        """What sets the deadline, in words."""
        clock = clock_of(self._phase)
        if clock in self._limits:
            return f"its {clock.word} limit of {self._limits[clock]:g} s"
        return (
            f"its time limit of {self._timeout_s:g} s (the {clock.word} clock has none of its own)"
        )

    @property
    def clock(self) -> BugClock:
        """The one that runs."""
        return clock_of(self._phase)

    @property
    def phase(self) -> str:
        """The present one."""
        return self._phase
