"""ClusterResourceManager: FixWurx's ResourceManager, with the agents of the whole cluster.

Two ways to use it. `enqueue` hands a bug over: it runs on a node as soon as there is room.
`allocate` reserves agents for a bug that the caller runs itself: it refuses rather than waits, and
what it reserves is freed when the caller's process dies.
"""

import logging
import os
import socket
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from fixwurx_celery.cluster.connection import Connection, refusal
from fixwurx_celery.cluster.handle import BugHandle
from fixwurx_celery.cluster.load_balancer import LoadBalancer
from fixwurx_celery.cluster.resource_manager import ResourceManager
from fixwurx_celery.cluster.scaling_coordinator import ScalingCoordinator
from fixwurx_celery.domain.bugs import AGENTS_PER_BUG, TERMINAL, Bug, class_name
from fixwurx_celery.errors import BugUnknown, FixwurxError, StoreUnavailable
from fixwurx_celery.store import Snapshot

__all__ = ["ClusterResourceManager"]

log = logging.getLogger(__name__)


class ClusterResourceManager:
    """The agents of all nodes. Thread-safe; every answer is the store's, at the time of asking."""

    AGENTS_PER_BUG = AGENTS_PER_BUG

    def __init__(
        self,
        base_resource_manager: ResourceManager | None = None,
        scaling_coordinator: ScalingCoordinator | None = None,
        load_balancer: LoadBalancer | None = None,
        sync_interval_sec: float = 5.0,
        *,
        connection: Connection | None = None,
    ) -> None:
        part = scaling_coordinator or load_balancer
        self.connection = connection or (part.connection if part else Connection())
        self.base_resource_manager = base_resource_manager
        self.scaling_coordinator, self.load_balancer = scaling_coordinator, load_balancer
        self.sync_interval_sec = sync_interval_sec
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._lock = threading.Lock()
        self._reserved: set[str] = set()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # -- handing bugs over -----------------------------------------------------------------

    def enqueue(self, bug: Bug | str) -> BugHandle:
        """A handle at once, whether the bug was assigned or waits. Harmless to repeat.

        Raises LineFull, Unsatisfiable, or StoreUnavailable (whether the bug was taken is then
        unknown: enqueue it again).
        """
        (result,) = self.enqueue_many([bug])
        if isinstance(result, FixwurxError):
            raise result
        return result

    def enqueue_many(self, bugs: Iterable[Bug | str]) -> list[BugHandle | FixwurxError]:
        """For each bug its handle, or the error that says why it was refused; a round trip per
        thousand. Bugs enqueued together start by priority, then the longest expected first."""
        given = [Bug(id=bug) if isinstance(bug, str) else bug for bug in bugs]
        submissions = self.connection.submit(given)
        return [
            refusal(bug, submission) or BugHandle(self.connection, bug.id)
            for bug, submission in zip(given, submissions, strict=True)
        ]

    def handle(self, bug_id: str) -> BugHandle:
        """A handle on a bug submitted earlier, by anyone."""
        return BugHandle(self.connection, bug_id)

    # -- FixWurx's ResourceManager ---------------------------------------------------------

    @property
    def cluster_state(self) -> Snapshot:
        """The cluster at this instant; has `total_agents` and `free_agents`."""
        return self.connection.store.snapshot()

    @property
    def total_agents(self) -> int:
        """Agents of all nodes in service."""
        return self.cluster_state.total_agents

    @property
    def free(self) -> int:
        """Agents that no bug holds, on all nodes in service."""
        return self.cluster_state.free_agents

    def can_allocate(self) -> bool:
        """Whether one node has a bug's three agents free now, and nobody waits for them."""
        snapshot = self.cluster_state
        name = class_name(self.AGENTS_PER_BUG, frozenset())
        if any(line["class"] == name for line in snapshot.lines):
            return False
        return any(
            node.is_available() and node.free_agents >= self.AGENTS_PER_BUG
            for node in snapshot.nodes
        )

    def allocate(self, bug_id: str) -> bool:
        """Reserves three agents on one node for a bug that the caller runs; False when none has
        them. Harmless to repeat. The reservation is this process's: `start_sync` keeps it."""
        bug_class = class_name(self.AGENTS_PER_BUG, frozenset())
        status, _ = self.connection.store.reserve(bug_id, bug_class, self._holder)
        if status != "RESERVED":
            return False
        with self._lock:
            self._reserved.add(bug_id)
        return True

    def free_agents(self, bug_id: str) -> bool:
        """Frees what the bug holds or waits for; False when it held nothing. Harmless to repeat."""
        with self._lock:
            self._reserved.discard(bug_id)
        status, assignments = self.connection.store.release(bug_id)
        self.connection.ring(assignments)
        return status == "RELEASED"

    def has(self, bug_id: str) -> bool:
        """Whether the bug holds agents on some node."""
        return self.get_worker_for_bug(bug_id) is not None

    def update_total_agents(self, total_agents: int) -> None:
        """Changes how many agents the nodes that are launched from now on have."""
        if self.base_resource_manager is None:
            raise FixwurxError(
                "cannot change the agents of running nodes; give a base_resource_manager, whose "
                "total is that of the nodes launched next"
            )
        self.base_resource_manager.update_total_agents(total_agents)

    def get_allocation_status(self) -> dict[str, Any]:
        """`total_agents`, `free_agents`, `active_bugs` (ids that hold agents)."""
        snapshot = self.cluster_state
        return {
            "total_agents": snapshot.total_agents,
            "free_agents": snapshot.free_agents,
            "active_bugs": [bug for node in snapshot.live for bug in node.bugs],
        }

    def get_worker_for_bug(self, bug_id: str) -> str | None:
        """The node whose agents the bug holds, or None."""
        try:
            record = self.connection.store.bug(bug_id)
        except BugUnknown:
            return None
        return None if record.state in TERMINAL else record.worker_id

    @property
    def bug_assignments(self) -> Mapping[str, str]:
        """Every bug that holds agents, with its node. Read-only."""
        return MappingProxyType(
            {bug: node.worker_id for node in self.cluster_state.live for bug in node.bugs}
        )

    # -- keeping reservations --------------------------------------------------------------

    def start_sync(self) -> None:
        """Keeps this process's reservations alive until `stop_sync`, or its death."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._sync, name="fixwurx-sync", daemon=True)
            self._thread.start()

    def stop_sync(self) -> None:
        """Ends the keeping, and frees what this process has reserved."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            thread.join(timeout=10)
        with self._lock:
            reserved, self._reserved = sorted(self._reserved), set()
        for bug_id in reserved:
            self.free_agents(bug_id)

    def _sync(self) -> None:
        every_s = min(self.sync_interval_sec, self.connection.settings.lease_sec / 3)
        while not self._stopping.wait(every_s):
            with self._lock:
                reserved: Sequence[str] = sorted(self._reserved)
            try:
                lost = self.connection.store.renew(reserved, self._holder) if reserved else []
            except StoreUnavailable as error:
                log.warning("reservations could not be renewed: %s", error)
                continue
            if lost:
                log.warning("reservations lost, their node has gone: %s", ", ".join(lost))
                with self._lock:
                    self._reserved.difference_update(lost)
