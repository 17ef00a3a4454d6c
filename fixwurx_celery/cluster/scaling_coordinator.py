"""ScalingCoordinator: the nodes of the cluster as they are, and how many there should be."""

import json
import logging
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from fixwurx_celery.cluster.connection import Connection
from fixwurx_celery.cluster.own_cluster import OwnCluster, Sizes
from fixwurx_celery.cluster.reconciliation import StepKind
from fixwurx_celery.cluster.resource_manager import ResourceManager
from fixwurx_celery.cluster.scaler import Scaler
from fixwurx_celery.cluster.state_file import StateFile
from fixwurx_celery.domain.bugs import class_name
from fixwurx_celery.domain.clocks import MAX_SECONDS
from fixwurx_celery.domain.nodes import LiveNodes, WorkerState
from fixwurx_celery.domain.scaling import ScalingDecision
from fixwurx_celery.domain.words import counted
from fixwurx_celery.errors import ConfigurationError, FixwurxError, StoreUnavailable
from fixwurx_celery.logs import words
from fixwurx_celery.settings import Settings
from fixwurx_celery.store.scaling_state import ScalingState

__all__ = ["ScalingCoordinator"]

LOOK_EVERY_S: Final = 0.05
BOOT_TICK_S: Final = 1.0
MOST_LOOKED_AT: Final = 20
"""Decisions, to find out why no node comes."""
MOST_METRICS: Final = 64 * 1024
"""Bytes of JSON that a program may have shown of a node."""

log = logging.getLogger(__name__)


class ScalingCoordinator:
    """A live view of the nodes. Every value is read from the store when it is asked for; where no
    cluster has been started yet, there are none. Thread-safe.

    Controllers scale the cluster by themselves, in ticks that Celery beat sends them; `tick` is
    that same tick for a program. Any number of coordinators and controllers may run.
    """

    def __init__(
        self,
        min_workers: int | None = None,
        max_workers: int | None = None,
        scaling_interval_sec: float | None = None,
        resource_manager: ResourceManager | None = None,
        state_path: str | Path | None = None,
        *,
        connection: Connection | None = None,
    ) -> None:
        """What is not given is as FIXWURX_MIN_WORKERS, FIXWURX_MAX_WORKERS, ... say. Nodes that
        are launched have as many agents as `resource_manager` has in all.

        Raises ConfigurationError (a ValueError too), for example when `min_workers` exceeds
        `max_workers`.
        """
        self.connection = connection or Connection(is_to_come=True)
        given: dict[str, Any] = {
            "min_workers": min_workers,
            "max_workers": max_workers,
            "scaling_interval_sec": scaling_interval_sec,
            "state_path": None if state_path is None else str(state_path),
        }
        self._given = settings = replace(
            self.connection.settings,
            **{name: value for name, value in given.items() if value is not None},
        )
        self.min_workers, self.max_workers = settings.min_workers, settings.max_workers
        self.scaling_interval_sec = settings.scaling_interval_sec
        self.state_path = Path(settings.state_path) if settings.state_path else None
        self.resource_manager = resource_manager
        self._lock = threading.RLock()
        self._own: OwnCluster | None = None
        self._scaler: Scaler | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # -- starting and stopping -------------------------------------------------------------

    def start(self) -> None:
        """Returns when `min_workers` nodes serve: those that are there, and real ones that it
        starts for what is missing. Harmless when repeated.

        Where FIXWURX_REDIS_URL names no store, it starts a private one too. What it starts, with a
        controller that scales it up to `max_workers`, belongs to this process and ends with
        `stop`, or with the process. Only where FIXWURX_PROVIDER names one, the nodes are that
        provider's and stay, and this process merely takes part in the scaling.

        Raises FixwurxError that says why, when it cannot be done within FIXWURX_BOOT_TIMEOUT_SEC.
        """
        with self._lock:
            if self._own is not None or self._thread is not None:
                return
            try:
                if self._given.provider == "none":
                    self._start_own()
                self._sync_state()
                self._tick_until_served(time.monotonic() + self._given.boot_timeout_sec)
            except BaseException:
                self.stop()
                raise
            if self._own is not None:
                self._own.begin_scaling()
            else:
                self._stopping.clear()
                self._thread = threading.Thread(
                    target=self._keep_ticking, name="fixwurx-scaling", daemon=True
                )
                self._thread.start()

    def _start_own(self) -> None:
        agents = self._given.total_agents
        if self.resource_manager is not None:
            agents = self.resource_manager.total_agents
        if agents < 1:
            raise ConfigurationError(
                ["nodes have as many agents as the resource_manager, and it has none"]
            )
        sizes = Sizes(
            least=self.min_workers,
            most=self.max_workers,
            agents=agents,
            interval_s=self.scaling_interval_sec,
        )
        self._own = OwnCluster(self._given, sizes)
        self._lead_to(self._own.settings)

    def _lead_to(self, settings: Settings) -> None:
        self.connection.close()
        self.connection.lead_to(settings)
        self._scaler = None

    def _sync_state(self) -> None:
        if self.state_path is not None:
            self.state_path.parent.mkdir(parents=True, exist_ok=True)
            StateFile(self.state_path, ScalingState(self.connection.store)).sync()

    def _tick_until_served(self, deadline: float) -> None:
        # More often than later: a node that cannot start is told of, and started again, at once.
        scaler = self._make_scaler(BOOT_TICK_S)
        while (serving := len(self.connection.store.snapshot().live)) < self.min_workers:
            trouble = self._own.trouble() if self._own else ""
            if trouble or time.monotonic() > deadline:
                raise FixwurxError(
                    f"{serving} of {counted(self.min_workers, 'node')} serve, and no more come: "
                    f"{trouble or self._why_none_comes()}"
                )
            scaler.tick()
            time.sleep(LOOK_EVERY_S)

    def _why_none_comes(self) -> str:
        decisions = ScalingState(self.connection.store).decisions(MOST_LOOKED_AT)
        failed = [
            f"{step['node']} {step['reason']}"
            for one in decisions
            for step in one.told.get("steps", ())
            if step["kind"] == StepKind.FAIL
        ]
        troubles = [one.told["trouble"] for one in decisions if one.told.get("trouble")]
        said = [*failed, *troubles, *(one.reason for one in decisions)]
        return said[0] if said else "nobody has decided on it"

    def _keep_ticking(self) -> None:
        while not self._stopping.wait(self.scaling_interval_sec):
            try:
                self.tick()
            except StoreUnavailable as error:
                log.warning(words(f"no scaling decision: {error}"))

    def stop(self) -> None:
        """Ends all that `start` has started, and waits until it is gone. Bugs that its nodes run
        go back in line, where the cluster goes on without them. Harmless when repeated."""
        with self._lock:
            thread, self._thread = self._thread, None
            own, self._own = self._own, None
            if thread is not None:
                self._stopping.set()
                thread.join(timeout=10)
            if own is not None:
                self._stop_own(own)

    def _stop_own(self, own: OwnCluster) -> None:
        is_private = not self._given.redis_url
        scaler = self._make_scaler(self.scaling_interval_sec)
        try:
            self._sync_state()
            scope = scaler.scope
            if is_private:
                self.connection.lead_nowhere()
            own.stop()
            if not is_private:
                scaler.forget_nodes(scope)
        except (StoreUnavailable, ConfigurationError) as error:
            log.warning(words(f"stopped without the store's knowledge: {error}"))
        finally:
            own.stop()
            self._scaler = None
            if not is_private:
                self._lead_to(self._given)

    # -- the nodes -------------------------------------------------------------------------

    @property
    def workers(self) -> LiveNodes:
        """Nodes in service by `worker_id`, as they are now. Read-only: what would change it raises
        ReadOnly, which says what to call instead."""
        return LiveNodes({node.worker_id: node for node in self.connection.snapshot().live})

    @property
    def local_worker_id(self) -> str:
        """The first of the nodes in service on this host; what the first one that is launched here
        is going to be called, where there is none."""
        host = socket.gethostname()
        here = (node.worker_id for node in self.workers.values() if node.hostname == host)
        return min(here, default=f"auto1@{host}")

    def update_local_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Shows these beside what the local node says of itself in its `metrics`, in place of
        those told before. Nothing decides on them. Without a local node nothing happens.

        Raises TypeError or ValueError for what is no JSON, or above 64 KiB of it.
        """
        if len(json.dumps(dict(metrics))) > MOST_METRICS:
            raise ValueError(f"metrics must not exceed {MOST_METRICS} bytes of JSON")
        if self.connection.is_there:
            self.connection.store.tell_metrics(self.local_worker_id, metrics)

    def update_agent_counts(self, total_agents: int, free_agents: int) -> None:
        """How many agents a node has to begin with, from the next `start` on; those of nodes that
        run are fixed. How many are free is not told but counted, by the store, so `free_agents` is
        only checked. Raises ValueError unless 0 <= free_agents <= total_agents."""
        if not 0 <= free_agents <= total_agents:
            raise ValueError(
                f"free_agents {free_agents} must lie between 0 and total_agents {total_agents}"
            )
        if self.resource_manager is not None:
            self.resource_manager.update_total_agents(total_agents)

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

    def drain(self, worker_id: str, grace_s: float = MAX_SECONDS) -> int:
        """Gives the node no more bugs; what it still runs after `grace_s` goes elsewhere. How many
        it runs now. Raises NodeUnknown."""
        running, assignments = self.connection.store.drain(worker_id, grace_s)
        self.connection.ring(assignments)
        return running

    def resume(self, worker_id: str) -> None:
        """Lets a draining node take bugs again. Raises NodeUnknown."""
        self.connection.ring(self.connection.store.resume(worker_id))

    # -- scaling ---------------------------------------------------------------------------

    def tick(self) -> ScalingDecision | None:
        """Decides how many nodes there should be, within this coordinator's bounds, and has the
        provider that the settings name see to it. None when somebody else has carried out this
        interval's tick. Raises StoreUnavailable; a provider's trouble is in the decision."""
        if self._scaler is None:
            self._scaler = self._make_scaler(self.scaling_interval_sec)
        return self._scaler.tick()

    def _make_scaler(self, interval_s: float) -> Scaler:
        settings = replace(
            self.connection.settings,
            min_workers=self.min_workers,
            max_workers=self.max_workers,
            scaling_interval_sec=interval_s,
        )
        return Scaler(self.connection, settings=settings)

    def get_scaling_history(self, limit: int = 20) -> list[dict[str, Any]]:
        """The last decisions, the newest first: `at` (s since 1970 by the store's clock), `action`
        (out, in, hold), `reason`, `nodes`, `wanted`, `launch`, `drain`, `resume`, and their inputs
        under `view`."""
        return [
            {"at": one.at_ms / 1000, **one.told}
            for one in ScalingState(self.connection.store).decisions(limit)
        ]

    def get_cluster_capacity(self) -> int:
        """Agents of all nodes that are READY or BUSY."""
        active = (WorkerState.READY, WorkerState.BUSY)
        nodes = self.connection.snapshot().live
        return sum(node.total_agents for node in nodes if node.state in active)

    def get_worker_status(self, worker_id: str | None = None) -> Any:
        """One node as a dict (None when there is none), or the list of all, those gone included."""
        listed = [node.as_dict() for node in self.connection.snapshot().nodes]
        if worker_id is None:
            return listed
        return next((node for node in listed if node["worker_id"] == worker_id), None)

    def get_scaling_metrics(self) -> dict[str, Any]:
        """The counts and bounds that scaling looks at: `worker_count`, `total_agent_capacity`,
        `free_agents`, `utilization` (0..1), `min_workers`, `max_workers`, `scaling_interval_sec`
        (s)."""
        snapshot = self.connection.snapshot()
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
