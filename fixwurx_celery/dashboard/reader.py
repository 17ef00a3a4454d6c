"""What the page shows, read from the store. Blocking: it runs in a thread."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fixwurx_celery.domain.bugs import TERMINAL
from fixwurx_celery.domain.scaling import ClusterView
from fixwurx_celery.store import BugRecord, ClusterStore, Snapshot
from fixwurx_celery.store.scaling_state import Decision, ScalingState

__all__ = ["MOST_ENDED", "MOST_TICKS", "Reader", "Reading", "Tick"]

MOST_ENDED: Final = 50
MOST_TICKS: Final = 720
"""Six hours of scaling decisions, at the default of one in 30 s."""
NEW_TICKS: Final = 4
"""So many decisions are looked at for those that are new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A scaling decision, with what it saw in agents: `capacity` of the nodes that take bugs, those
    `held` there, and those that `waiting` bugs ask for."""

    id: str
    at_ms: int
    action: str
    reason: str
    nodes: int
    wanted: int
    capacity: int
    held: int
    waiting: int
    trouble: str

    @classmethod
    def of(cls, decision: Decision) -> "Tick":
        """What is shown of the decision."""
        told = decision.told
        view = ClusterView.from_dict(told["view"])
        return cls(
            id=decision.id,
            at_ms=decision.at_ms,
            action=decision.action,
            reason=decision.reason,
            nodes=told["nodes"],
            wanted=told["wanted"],
            capacity=view.total_agents,
            held=view.held_agents,
            waiting=view.waiting_agents,
            # Without a provider nobody means to start nodes, which is no trouble.
            trouble="" if told["provider"] == "none" else told["trouble"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The cluster, the bugs that ended last (the last first), and the ticks (the last one last)."""

    snapshot: Snapshot
    ended: Sequence[BugRecord]
    ticks: Sequence[Tick]


class Reader:
    """Reads the whole picture; what cannot change any more is read once. For one call at a time."""

    def __init__(self, store: ClusterStore) -> None:
        self._store, self._state = store, ScalingState(store)
        self._ended: dict[tuple[str, int], BugRecord] = {}
        self._ticks: list[Tick] = []

    def read(self) -> Reading:
        """The cluster as it is now. Raises StoreUnavailable."""
        snapshot = self._store.snapshot(with_progress=True)
        return Reading(snapshot=snapshot, ended=self._read_ended(), ticks=self._read_ticks())

    def _read_ended(self) -> Sequence[BugRecord]:
        """A bug that is retried ends again, at another time."""
        ends = self._store.ended(MOST_ENDED)
        new = dict(end for end in ends if end not in self._ended)
        known = dict(self._ended)
        for record in self._store.bugs(list(new)):
            if record.state in TERMINAL:  # and was not retried meanwhile
                known[record.id, new[record.id]] = record
        self._ended = {end: known[end] for end in ends if end in known}
        return list(self._ended.values())

    def _read_ticks(self) -> Sequence[Tick]:
        """The last one known must still be there: a store that failed over has lost some."""
        known = self._ticks[-1].id if self._ticks else None
        new = self._state.decisions(NEW_TICKS if known else MOST_TICKS)
        ids = [decision.id for decision in new]
        if known in ids:
            new = new[: ids.index(known)]
        elif known:
            self._ticks, new = [], self._state.decisions(MOST_TICKS)
        self._ticks = [*self._ticks, *map(Tick.of, reversed(new))][-MOST_TICKS:]
        return self._ticks
