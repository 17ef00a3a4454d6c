"""Bugs: what is asked for, where it stands, and how it ended."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from fixwurx_celery.domain.clocks import MAX_SECONDS, checked_limits

__all__ = [
    "AGENTS_PER_BUG",
    "ANSWERS",
    "ID",
    "MAX_PAYLOAD_BYTES",
    "MAX_PRIORITY",
    "TERMINAL",
    "TRANSITIONS",
    "Assignment",
    "Bug",
    "BugState",
    "Outcome",
    "checked_labels",
    "checked_priority",
    "class_name",
    "terminal_state",
    "verdict",
]

AGENTS_PER_BUG: Final = 3
"""Observer, analyst, verifier."""

MAX_PRIORITY: Final = 1000
MAX_AGENTS: Final = 1024
MAX_PAYLOAD_BYTES: Final = 2 * 2**20
"""Of JSON. A record is read whole by whoever asks about the bug; what is larger is a source."""
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class BugState(StrEnum):
    """Where a bug is. Exactly one of: in line, on one node, finished."""

    PENDING = "PENDING"
    ASSIGNED = "ASSIGNED"
    RUNNING = "RUNNING"
    RESERVED = "RESERVED"
    DONE = "DONE"
    ESCALATED = "ESCALATED"
    CANCELLED = "CANCELLED"


TERMINAL: Final = frozenset({BugState.DONE, BugState.ESCALATED, BugState.CANCELLED})

TRANSITIONS: Final[Mapping[BugState, frozenset[BugState]]] = {
    BugState.PENDING: frozenset({BugState.ASSIGNED, BugState.CANCELLED, BugState.ESCALATED}),
    BugState.ASSIGNED: frozenset(
        {BugState.RUNNING, BugState.PENDING, BugState.CANCELLED, BugState.ESCALATED}
    ),
    BugState.RUNNING: frozenset(
        {BugState.DONE, BugState.ESCALATED, BugState.CANCELLED, BugState.PENDING}
    ),
    BugState.RESERVED: frozenset(),
    BugState.DONE: frozenset({BugState.PENDING}),
    BugState.ESCALATED: frozenset({BugState.PENDING}),
    BugState.CANCELLED: frozenset({BugState.PENDING}),
}
"""Each state with those that may follow it. From a terminal state only `retry` leads on."""


class Outcome(StrEnum):
    """How processing ended. Only the first three are answers; the others may be run again."""

    FIXED = "FIXED"
    NOT_REPRODUCED = "NOT_REPRODUCED"
    NOT_FIXED = "NOT_FIXED"
    TIMED_OUT = "TIMED_OUT"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"


OTHER: Final = "OTHER"

ANSWERS: Final = frozenset({Outcome.FIXED, Outcome.NOT_REPRODUCED, Outcome.NOT_FIXED})


def verdict(outcome: Any) -> str:
    """The outcome in one word, of few: OTHER for an answer that an engine of the user's made up."""
    word = outcome.get("outcome") if isinstance(outcome, Mapping) else None
    return str(word) if word in [*Outcome] else OTHER


def terminal_state(outcome: Any) -> BugState:
    """The state in which a bug with this outcome ends.

    An engine of the user's may answer any JSON; without a known `outcome` in it, it is an answer.
    """
    match verdict(outcome):
        case Outcome.CANCELLED:
            return BugState.CANCELLED
        case Outcome.TIMED_OUT | Outcome.ERROR:
            return BugState.ESCALATED
        case _:
            return BugState.DONE


def class_name(agents: int, requires: frozenset[str]) -> str:
    """The name of a class of bugs, or of a profile of nodes: `3|gpu,python`."""
    return f"{agents}|{','.join(sorted(requires))}"


def checked_labels(labels: frozenset[str], what: str) -> None:
    """Raises ValueError for a label that is not 1 to 63 letters, digits, `.`, `_` or `-`."""
    for label in sorted(labels):
        if not LABEL.fullmatch(label):
            raise ValueError(
                f"{what} {label!r} must be letters, digits, '.', '_' or '-', at most 63 long"
            )


def checked_priority(priority: Any, of: str = "") -> None:
    """Raises ValueError for what is no whole number within ±1000."""
    if type(priority) is not int or abs(priority) > MAX_PRIORITY:
        raise ValueError(
            f"priority {priority!r}{f' of {of}' if of else ''} must be a whole number within "
            f"±{MAX_PRIORITY}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One piece of work, as it is submitted. Equal bugs have equal ids: an id is taken once.

    `limits` has seconds by clock: `waiting`, `setup`, `run`, `verify`. The clocks of a run that
    have no limit there share `timeout_s`, except set-up, which has 600 s of its own.
    """

    id: str
    agents: int = AGENTS_PER_BUG
    requires: frozenset[str] = frozenset()
    priority: int = 0
    timeout_s: float = 300.0
    limits: Mapping[str, float] = field(default_factory=dict)
    expected_s: float | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not ID.fullmatch(self.id):
            raise ValueError(
                f"id {self.id!r} must be letters, digits, '.', '_' or '-', at most 128 long"
            )
        # `type`, because True is an int, and 3.0 would name another class than 3.
        if type(self.agents) is not int or not 1 <= self.agents <= MAX_AGENTS:
            raise ValueError(
                f"agents {self.agents!r} must be a whole number between 1 and {MAX_AGENTS}"
            )
        checked_priority(self.priority)
        if not 0 < self.timeout_s <= MAX_SECONDS:
            raise ValueError(f"timeout {self.timeout_s} must lie above 0 s and within 7 days")
        if self.expected_s is not None and not 0 < self.expected_s <= MAX_SECONDS:
            raise ValueError(
                f"expected_seconds {self.expected_s} must lie above 0 s and within 7 days"
            )
        checked_limits(self.limits)
        checked_labels(self.requires, "capability")

    @property
    def bug_id(self) -> str:
        """FixWurx's name for the id."""
        return self.id

    @property
    def bug_class(self) -> str:
        """Bugs of one class fit on the same nodes, so they share one waiting line."""
        return class_name(self.agents, self.requires)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Bug `bug_id`, assignment `epoch`, is `worker_id`'s: what a doorbell says."""

    worker_id: str
    bug_id: str
    epoch: int
