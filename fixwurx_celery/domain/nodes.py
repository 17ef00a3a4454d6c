"""Nodes as FixWurx knows them (there: workers): what each has, holds and is worth."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["BalancingStrategy", "WorkerNode", "WorkerState"]


class WorkerState(StrEnum):
    """READY has room for work, BUSY has none, STOPPING drains; the rest take nothing."""

    STARTING = "STARTING"
    READY = "READY"
    BUSY = "BUSY"
    STOPPING = "STOPPING"
    OFFLINE = "OFFLINE"
    ERROR = "ERROR"


class BalancingStrategy(StrEnum):
    """How the node for a bug is chosen among those with room."""

    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_CONNECTIONS = "LEAST_CONNECTIONS"
    WEIGHTED_CAPACITY = "WEIGHTED_CAPACITY"
    RANDOM = "RANDOM"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerNode:
    """One node at the instant of a snapshot.

    `worker_id` is its Celery node name. `last_heartbeat` is in seconds since 1970 by the store's
    clock. `health` lies in 0..1; at 0.5 or below the node gets single probes only.
    `response_time_ms` runs from assignment to start, an exponential average. `unstarted` counts the
    bugs that were taken away again because the node did not start them, since it last started one.
    """

    worker_id: str
    hostname: str = ""
    port: int = 0
    state: WorkerState
    total_agents: int
    free_agents: int
    capabilities: frozenset[str] = frozenset()
    cpu_cores: int = 0
    memory_mb: int = 0
    last_heartbeat: float = 0.0
    health: float = 1.0
    response_time_ms: float = 0.0
    last_used: int = 0
    incarnation: str = ""
    bugs: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    unstarted: int = 0

    def is_available(self) -> bool:
        """Whether it may be given a bug of one agent now."""
        return self.state is WorkerState.READY and self.free_agents > 0

    def utilization(self) -> float:
        """The share of its agents at work, 0..1; 1 for a node without agents."""
        if not self.total_agents:
            return 1.0
        return (self.total_agents - self.free_agents) / self.total_agents

    def as_dict(self) -> dict[str, Any]:
        """Everything above as JSON types, keys as named here."""
        return {
            "worker_id": self.worker_id,
            "hostname": self.hostname,
            "port": self.port,
            "state": str(self.state),
            "total_agents": self.total_agents,
            "free_agents": self.free_agents,
            "capabilities": sorted(self.capabilities),
            "cpu_cores": self.cpu_cores,
            "memory_mb": self.memory_mb,
            "last_heartbeat": self.last_heartbeat,
            "health": self.health,
            "response_time_ms": self.response_time_ms,
            "bugs": dict(self.bugs),
            "metrics": dict(self.metrics),
            "unstarted": self.unstarted,
        }
