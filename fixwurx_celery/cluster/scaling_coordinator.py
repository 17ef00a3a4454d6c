"""ScalingCoordinator: the nodes of the cluster as they are, and how many there should be."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from fixwurx_celery.cluster.connection import Connection
from fixwurx_celery.cluster.scaler import Scaler
from fixwurx_celery.domain.bugs import class_name
from fixwurx_celery.domain.nodes import WorkerNode
from fixwurx_celery.domain.scaling import ScalingDecision
from fixwurx_celery.errors import FixwurxError
from fixwurx_celery.store.scaling_state import ScalingState

__all__ = ["ScalingCoordinator"]


class ScalingCoordinator:
    """A live view of the nodes. Every value is read from the store when it is asked for.

    Controllers scale the cluster by themselves, in ticks that Celery beat sends them; `tick` is
    that same tick for a program that has none. Any number of coordinators and controllers may run.
    """

    def __init__(
        self,
        min_workers: int = 1,
        max_workers: int = 5,
        scaling_interval_sec: float = 30.0,
        *,
        connection: Connection | None = None,
    ) -> None:
        """Raises ValueError when `min_workers` exceeds `max_workers`."""
        if min_workers > max_workers:
            raise ValueError(f"min_workers {min_workers} must not exceed max_workers {max_workers}")
        self.min_workers, self.max_workers = min_workers, max_workers
        self.scaling_interval_sec = scaling_interval_sec
        self.connection = connection or Connection()
        self._scaler: Scaler | None = None

    @property
    def workers(self) -> Mapping[str, WorkerNode]:
        """Nodes in service by `worker_id`. Read-only: nodes register themselves."""
        return MappingProxyType(
            {node.worker_id: node for node in self.connection.store.snapshot().live}
        )

    def register_worker(
        self,
        worker_id: str,
        *,
        incarnation: str,
        total_agents: int,
        capabilities: frozenset[str] = frozenset(),
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Brings a node into service, as a node does for itself. It must then send heartbeats.

        Raises FixwurxError when a live node has this name.
        """
        profile = class_name(total_agents, capabilities)
        answer = self.connection.store.register(worker_id, incarnation, profile, facts or {})
        if isinstance(answer, str):
            raise FixwurxError(f"cannot register {worker_id}: a live node has this name")
        self.connection.ring(answer)

    def deregister_worker(self, worker_id: str) -> bool:
        """Takes a node out of service at once, its bugs going elsewhere uncharged; False when
        there is none. The node itself joins again if it lives: to stop it, drain it."""
        node = self.workers.get(worker_id)
        if node is None:
            return False
        self.connection.ring(self.connection.store.retire(worker_id, node.incarnation) or [])
        return True

    def tick(self) -> ScalingDecision | None:
        """Decides how many nodes there should be, within this coordinator's bounds, and has the
        provider that the settings name see to it. None when somebody else has carried out this
        interval's tick. Raises StoreUnavailable; a provider's trouble is in the decision."""
        if self._scaler is None:
            settings = replace(
                self.connection.settings,
                min_workers=self.min_workers,
                max_workers=self.max_workers,
                scaling_interval_sec=self.scaling_interval_sec,
            )
            self._scaler = Scaler(self.connection, settings=settings)
        return self._scaler.tick()

    def get_scaling_history(self, limit: int = 20) -> list[dict[str, Any]]:
        """The last decisions, the newest first: `at` (s since 1970 by the store's clock), `action`
        (out, in, hold), `reason`, `nodes`, `wanted`, `launch`, `drain`, `resume`, and their inputs
        under `view`."""
        return [
            {"at": one.at_ms / 1000, **one.told}
            for one in ScalingState(self.connection.store).decisions(limit)
        ]

    def get_cluster_capacity(self) -> dict[str, int]:
        """`total_agents` and `free_agents` of the nodes in service, and `worker_count`."""
        snapshot = self.connection.store.snapshot()
        return {
            "total_agents": snapshot.total_agents,
            "free_agents": snapshot.free_agents,
            "worker_count": len(snapshot.live),
        }

    def get_worker_status(self, worker_id: str | None = None) -> Any:
        """One node as a dict (None when there is none), or the list of all, those gone included."""
        listed = [node.as_dict() for node in self.connection.store.snapshot().nodes]
        if worker_id is None:
            return listed
        return next((node for node in listed if node["worker_id"] == worker_id), None)

    def get_scaling_metrics(self) -> dict[str, Any]:
        """The counts and bounds that scaling looks at."""
        snapshot = self.connection.store.snapshot()
        total, free = snapshot.total_agents, snapshot.free_agents
        return {
            "worker_count": len(snapshot.live),
            "total_agent_capacity": total,
            "free_agents": free,
            "utilization": (total - free) / total if total else 0.0,
            "min_workers": self.min_workers,
            "max_workers": self.max_workers,
            "scaling_interval_sec": self.scaling_interval_sec,
        }
