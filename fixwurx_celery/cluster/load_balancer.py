"""LoadBalancer: which node takes a bug. The choice itself is made inside the script that commits
the reservation, so it is exact however many choose at once."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fixwurx_celery.cluster.connection import Connection
from fixwurx_celery.cluster.reservations import Reservations
from fixwurx_celery.cluster.scaling_coordinator import ScalingCoordinator
from fixwurx_celery.domain.bugs import AGENTS_PER_BUG, checked_labels, class_name
from fixwurx_celery.domain.nodes import BalancingStrategy
from fixwurx_celery.errors import InputError

__all__ = ["LoadBalancer"]

AGENTS: Final = "agents"
CAPABILITIES: Final = "capabilities"


class LoadBalancer:
    """The cluster's one strategy, and what it knows of each node. Thread-safe."""

    def __init__(
        self,
        strategy: BalancingStrategy | str = BalancingStrategy.WEIGHTED_CAPACITY,
        scaling_coordinator: ScalingCoordinator | None = None,
        health_check_interval_sec: float = 10.0,
        *,
        connection: Connection | None = None,
    ) -> None:
        """Raises ValueError for a strategy that is not one of the four, in any case."""
        self._wanted = BalancingStrategy(str(strategy))
        self.health_check_interval_sec = health_check_interval_sec
        self.scaling_coordinator = scaling_coordinator
        if connection is None:
            connection = scaling_coordinator.connection if scaling_coordinator else Connection()
        self.connection = connection
        self._reservations = Reservations(connection)

    def start(self) -> None:
        """Makes the strategy given to the constructor the cluster's, and keeps what `select_worker`
        reserves until `stop`, or this process's death."""
        self.set_balancing_strategy(self._wanted)
        self._reservations.start(self.health_check_interval_sec)

    def stop(self) -> None:
        """Frees what `select_worker` has reserved."""
        self._reservations.stop()

    @property
    def strategy(self) -> BalancingStrategy:
        """How nodes are chosen now, by whoever submits."""
        return self.connection.store.strategy() if self.connection.is_there else self._wanted

    def set_balancing_strategy(self, strategy: BalancingStrategy | str) -> BalancingStrategy:
        """Changes how nodes are chosen, cluster-wide, from the next bug on; the strategy before."""
        return self.connection.store.set_strategy(BalancingStrategy(str(strategy)))

    def select_worker(
        self,
        task_id: str,
        requirements: Iterable[str] | Mapping[str, Any] = (),
        *,
        agents: int = AGENTS_PER_BUG,
    ) -> str | None:
        """Reserves agents for the task on the node the strategy takes; None when none has room.

        `requirements` are the capabilities that the node must have, or a mapping with these under
        `capabilities` and the number of agents under `agents`. The reservation ends with
        `release_task` or `release_worker`, and without `start` after FIXWURX_LEASE_SEC. Raises
        InputError for requirements that cannot be read.
        """
        labels, count = _read(requirements, agents)
        return self._reservations.reserve(task_id, class_name(count, labels))

    def release_task(self, task_id: str) -> bool:
        """Ends the reservation; False when there is none."""
        return self._reservations.release(task_id)

    def release_worker(self, worker_id: str) -> bool:
        """Ends the oldest reservation that `select_worker` of this object made on the node; False
        when there is none. `release_task` says which one."""
        task_id = self._reservations.oldest_on(worker_id)
        return task_id is not None and self._reservations.release(task_id)

    def register_task_latency(self, worker_id: str, latency_ms: float) -> bool:
        """Counts how long a node took to respond to a task, in ms, as its own starts of bugs are
        counted: it is a fifth of the new `response_time_ms`, which WEIGHTED_CAPACITY looks at.
        False when the node is not in service. Raises ValueError below 0 ms."""
        if not latency_ms >= 0:
            raise ValueError(f"latency_ms {latency_ms} must not be negative")
        return self.connection.store.observe_latency(worker_id, latency_ms)

    def get_balancer_metrics(self) -> dict[str, Any]:
        """The strategy, and the nodes it chooses among: `strategy`, `worker_count`,
        `available_workers`, `tasks_routed` (runs that have ended, of bugs),
        `tasks_failed` (bugs that were given up), `average_latency_ms` (from assignment to start, or
        as registered, over the nodes), `health_check_interval_sec`."""
        snapshot = self.connection.snapshot()
        live = snapshot.live
        return {
            "strategy": str(snapshot.strategy),
            "worker_count": len(live),
            "available_workers": sum(node.is_available() for node in live),
            "tasks_routed": snapshot.stats.get("runs", 0),
            "tasks_failed": snapshot.stats.get("ESCALATED", 0),
            "average_latency_ms": (
                sum(node.response_time_ms for node in live) / len(live) if live else 0.0
            ),
            "health_check_interval_sec": self.health_check_interval_sec,
        }

    def get_worker_metrics(self) -> list[dict[str, Any]]:
        """Per node in service: `worker_id`; `capacity`, `current_load` and `available_capacity` in
        agents; `load_percentage` (0..100); `health_score` (0..1) and `response_time_ms`, both
        measured; `last_used`, a number that grows with each assignment in the cluster."""
        return [
            {
                "worker_id": node.worker_id,
                "capacity": node.total_agents,
                "current_load": node.total_agents - node.free_agents,
                "available_capacity": node.free_agents,
                "load_percentage": 100 * node.utilization(),
                "health_score": node.health,
                "response_time_ms": node.response_time_ms,
                "last_used": node.last_used,
            }
            for node in self.connection.snapshot().live
        ]


def _read(
    requirements: Iterable[str] | Mapping[str, Any] | None, agents: int
) -> tuple[frozenset[str], int]:
    """The capabilities and the number of agents that are required."""
    labels: Any = requirements or ()
    if isinstance(requirements, Mapping):
        unknown = sorted(set(requirements) - {AGENTS, CAPABILITIES})
        if unknown:
            raise InputError(
                [f"requirements name {', '.join(unknown)}; there are {CAPABILITIES} and {AGENTS}"]
            )
        labels, agents = requirements.get(CAPABILITIES, ()), requirements.get(AGENTS, agents)
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise InputError([f"capabilities {labels!r} must be a list of labels"])
    try:
        checked_labels(frozenset(labels), "capability")
    except ValueError as error:
        raise InputError([str(error)]) from error
    if type(agents) is not int or agents < 1:
        raise InputError([f"agents {agents!r} must be a whole number of at least 1"])
    return frozenset(labels), agents
