"""What a simulation found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Change", "Outcome", "Sample"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one tick changed. However many nodes it started or drained, it is one change."""

    at_s: float
    launched: int = 0
    resumed: int = 0
    drained: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The fleet after one tick: agents asked for and agents that serve; nodes by what they do."""

    at_s: float
    demand: int
    capacity: int
    serving: int
    starting: int
    draining: int

    @property
    def nodes(self) -> int:
        """All that are paid for."""
        return self.serving + self.starting + self.draining


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The figures of one run. `waits` has the seconds from arrival to start of every bug;
    `node_s` counts each node from its launch, boot included, until it ended; `busy_stopped` are
    nodes that ended with a bug on them; `unserved` bugs that never started."""

    waits: Sequence[float]
    unserved: int
    node_s: float
    cost: float
    worked_s: float
    capacity_s: float
    busy_stopped: int
    changes: Sequence[Change]
    samples: Sequence[Sample]

    @property
    def node_hours(self) -> float:
        """What was paid for."""
        return self.node_s / 3600

    @property
    def utilisation(self) -> float:
        """The share of the paid agents that was at work."""
        return self.worked_s / self.capacity_s if self.capacity_s else 0.0

    @property
    def scaled_in(self) -> int:
        """Nodes that were drained, those had back included."""
        return sum(change.drained for change in self.changes)

    def waited(self, share: float) -> float:
        """The wait that this share of the bugs did not exceed (nearest rank)."""
        ordered = sorted(self.waits)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def as_dict(self) -> dict[str, Any]:
        """As JSON types, without the samples."""
        ordered = sorted(self.waits)
        return {
            "bugs": len(self.waits),
            "unserved": self.unserved,
            "node_hours": round(self.node_hours, 3),
            "cost": round(self.cost, 3),
            "utilisation": round(self.utilisation, 4),
            "wait_s": {
                name: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)
                for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
            }
            if ordered
            else {},
            "changes": len(self.changes),
            "launched": sum(change.launched for change in self.changes),
            "resumed": sum(change.resumed for change in self.changes),
            "drained": self.scaled_in,
            "busy_nodes_stopped": self.busy_stopped,
            "most_nodes": max((one.nodes for one in self.samples), default=0),
        }
