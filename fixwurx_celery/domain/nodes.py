"""Nodes as FixWurx knows them (there: workers): what each has, holds and is worth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NoReturn, assert_never

from fixwurx_celery.domain.bugs import MAX_AGENTS, checked_labels, class_name
from fixwurx_celery.errors import ReadOnly

__all__ = [
    "BalancingStrategy",
    "LaunchStage",
    "LiveNodes",
    "NodeSpec",
    "WorkerNode",
    "WorkerState",
]


class AnyCase(StrEnum):
    """Words that are found in any case: FixWurx writes the values of its own in lower case."""

    @classmethod
    def _missing_(cls, value: object) -> "AnyCase | None":
        word = value.upper() if isinstance(value, str) else value
        return next((one for one in cls if one.value == word), None)


class WorkerState(AnyCase):
    """READY has room for work, BUSY has none, STOPPING drains; the rest take nothing."""

    STARTING = "STARTING"
    READY = "READY"
    BUSY = "BUSY"
    STOPPING = "STOPPING"
    OFFLINE = "OFFLINE"
    ERROR = "ERROR"


class LaunchStage(StrEnum):
    """How far a node is that a controller has launched. STARTING has not registered yet; DRAINING
    and STOPPING are on their way out, the first can still be had back."""

    STARTING = "STARTING"
    READY = "READY"
    DRAINING = "DRAINING"
    STOPPING = "STOPPING"


class BalancingStrategy(AnyCase):
    """How the node for a bug is chosen among those with room."""

    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_CONNECTIONS = "LEAST_CONNECTIONS"
    WEIGHTED_CAPACITY = "WEIGHTED_CAPACITY"
    RANDOM = "RANDOM"

    @property
    def takes(self) -> str:
        """Which node it takes, in words."""
        match self:
            case BalancingStrategy.ROUND_ROBIN:
                return "the node that was chosen longest ago"
            case BalancingStrategy.LEAST_CONNECTIONS:
                return "the node with the fewest bugs"
            case BalancingStrategy.WEIGHTED_CAPACITY:
                return "the node with the most room, weighed by health and response time"
            case BalancingStrategy.RANDOM:
                return "any node with room, all alike"
            case _:
                assert_never(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """What a node has: its agents, and its capabilities."""

    agents: int
    capabilities: frozenset[str]

    @classmethod
    def parse(cls, text: str, default_capabilities: frozenset[str]) -> "NodeSpec":
        """`9` or `9:python,large-memory`. Raises ValueError that says what is wrong with it."""
        number, colon, labels = text.partition(":")
        if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= MAX_AGENTS:
            raise ValueError(
                f"node {text!r} must begin with its agents, 1 to {MAX_AGENTS}; "
                "write for example 9:python,large-memory"
            )
        names = frozenset(label.strip() for label in labels.split(",") if label.strip())
        if colon and not names:
            raise ValueError(
                f"node {text!r} names no capability after the colon; leave the colon out, or "
                "write for example 9:python,large-memory"
            )
        checked_labels(names, f"node {text!r}: capability")
        return cls(agents=int(number), capabilities=names or default_capabilities)

    @classmethod
    def of_profile(cls, profile: str) -> "NodeSpec":
        """The one whose profile this is: `9|gpu,python`."""
        agents, _, labels = profile.partition("|")
        return cls(agents=int(agents), capabilities=frozenset(filter(None, labels.split(","))))

    @property
    def profile(self) -> str:
        """As the store writes it: `9|gpu,python`."""
        return class_name(self.agents, self.capabilities)

    def can_run(self, agents: int, requires: frozenset[str]) -> bool:
        """Whether a bug of this class fits on the node when it is empty."""
        return agents <= self.agents and requires <= self.capabilities

    def __str__(self) -> str:
        return f"{self.agents}:{','.join(sorted(self.capabilities))}"


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


INSTEAD: Final = {
    "state": "drain() or resume() it, or deregister_worker(worker_id)",
    "metrics": "update_local_metrics(metrics)",
    "health": "register_task_latency(worker_id, latency_ms) of the LoadBalancer",
    "response_time_ms": "register_task_latency(worker_id, latency_ms) of the LoadBalancer",
    "free_agents": "allocate(bug_id) or free_agents(bug_id) of the ClusterResourceManager",
    "bugs": "allocate(bug_id) or free_agents(bug_id) of the ClusterResourceManager",
    "total_agents": "update_total_agents(n) of the ClusterResourceManager, for nodes to come",
}
"""What changes a node's field, by its name."""


def _refuse(node: WorkerNode, name: str, *_: object) -> NoReturn:
    instead = f"; call {INSTEAD[name]}" if name in INSTEAD else ""
    raise ReadOnly(
        f"cannot set {name} of {node.worker_id}: a WorkerNode is the node as the store knew it "
        f"when it was asked{instead}"
    )


# After the decorator, whose own would say less.
WorkerNode.__setattr__ = WorkerNode.__delattr__ = _refuse  # type: ignore[assignment, method-assign]


class LiveNodes(Mapping[str, WorkerNode]):
    """The nodes in service by `worker_id`. What would change a dict raises ReadOnly, and says which
    method does what was meant."""

    def __init__(self, nodes: Mapping[str, WorkerNode]) -> None:
        self._nodes = dict(nodes)

    def __getitem__(self, worker_id: str) -> WorkerNode:
        return self._nodes[worker_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def __repr__(self) -> str:
        return f"LiveNodes({', '.join(self._nodes)})"

    def _cannot_add(self, *_: object, **__: object) -> NoReturn:
        raise ReadOnly(
            "cannot put a node into `workers`: nodes register themselves; start one (`celery -A "
            "fixwurx_celery worker`), or call register_worker(...) for one that sends heartbeats"
        )

    def _cannot_remove(self, *_: object, **__: object) -> NoReturn:
        raise ReadOnly(
            "cannot take a node out of `workers`, which only shows what is there; call "
            "drain(worker_id) to let it end what it runs, or deregister_worker(worker_id) to take "
            "it out of service at once"
        )

    __setitem__ = setdefault = update = _cannot_add
    __delitem__ = pop = popitem = clear = _cannot_remove
