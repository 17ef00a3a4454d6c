"""LoadBalancer: which node takes a bug. The choice itself is made inside the script that commits
the reservation, so it is exact however many choose at once."""

from collections.abc import Iterable
from typing import Any

from fixwurx_celery.cluster.connection import Connection
from fixwurx_celery.cluster.scaling_coordinator import ScalingCoordinator
from fixwurx_celery.domain.bugs import AGENTS_PER_BUG, class_name
from fixwurx_celery.domain.nodes import BalancingStrategy

__all__ = ["LoadBalancer"]


class LoadBalancer:
    """The cluster's one strategy, and what it knows of each node."""

    def __init__(
        self,
        strategy: BalancingStrategy | str = BalancingStrategy.WEIGHTED_CAPACITY,
        scaling_coordinator: ScalingCoordinator | None = None,
        health_check_interval_sec: float = 10.0,
        *,
        connection: Connection | None = None,
    ) -> None:
        """Raises ValueError for a strategy that is not one of the four."""
        self._wanted = BalancingStrategy(str(strategy).upper())
        self.health_check_interval_sec = health_check_interval_sec
        if connection is None:
            connection = scaling_coordinator.connection if scaling_coordinator else Connection()
        self.connection = connection

    def start(self) -> None:
        """Makes the strategy given to the constructor the cluster's."""
        self.set_balancing_strategy(self._wanted)

    def stop(self) -> None:
        """Nothing of this process's runs, so nothing ends."""

    @property
    def strategy(self) -> BalancingStrategy:
        """How nodes are chosen now, by whoever submits."""
        return self.connection.store.strategy()

    def set_balancing_strategy(self, strategy: BalancingStrategy | str) -> BalancingStrategy:
        """Changes how nodes are chosen, cluster-wide, from the next bug on; the strategy before."""
        return self.connection.store.set_strategy(BalancingStrategy(str(strategy).upper()))

    def select_worker(
        self,
        task_id: str,
        requirements: Iterable[str] = (),
        *,
        agents: int = AGENTS_PER_BUG,
        holder: str = "load-balancer",
    ) -> str | None:
        """Reserves agents for the task on the node the strategy takes; None when none has room.

        The reservation ends with `release_task`, or when its lease is not renewed.
        """
        bug_class = class_name(agents, frozenset(requirements))
        status, node = self.connection.store.reserve(task_id, bug_class, holder)
        return node if status == "RESERVED" else None

    def release_task(self, task_id: str) -> bool:
        """Ends the reservation; False when there is none."""
        status, assignments = self.connection.store.release(task_id)
        self.connection.ring(assignments)
        return status == "RELEASED"

    def get_balancer_metrics(self) -> dict[str, Any]:
        """The strategy, and the nodes it chooses among."""
        snapshot = self.connection.store.snapshot()
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
        """Per node: capacity and load in agents, measured health (0..1) and response time."""
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
            for node in self.connection.store.snapshot().live
        ]
