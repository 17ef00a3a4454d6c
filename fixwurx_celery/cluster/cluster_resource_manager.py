"""ClusterResourceManager: FixWurx's ResourceManager, with the agents of the whole cluster.

Two ways to use it. `enqueue` hands a bug over: it runs on a node as soon as there is room.
`allocate` reserves agents for a bug that the caller runs itself: it refuses rather than waits, and
what it reserves is freed when the caller's process dies.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from fixwurx_celery.cluster.connection import Connection, refusal
from fixwurx_celery.cluster.handle import BugHandle
from fixwurx_celery.cluster.load_balancer import LoadBalancer
from fixwurx_celery.cluster.reservations import Reservations
from fixwurx_celery.cluster.resource_manager import ResourceManager
from fixwurx_celery.cluster.scaling_coordinator import ScalingCoordinator
from fixwurx_celery.domain.bugs import (
    AGENTS_PER_BUG,
    TERMINAL,
    Bug,
    BugState,
    checked_priority,
    class_name,
)
from fixwurx_celery.errors import BugUnknown, FixwurxError
from fixwurx_celery.store import Snapshot

__all__ = ["ClusterResourceManager"]


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
        self._reservations = Reservations(self.connection)

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

    def get_backlog(self) -> dict[str, Any]:
        """How hard the cluster is pressed: `waiting` bugs, `max_waiting` (above it bugs are refused
        with LineFull), and `oldest_wait_sec`, for how long the one has waited that is next in its
        line; the longest of all lines, 0 where none waits."""
        snapshot = self.connection.snapshot()
        since = [int(line["head_since_ms"]) for line in snapshot.lines]
        return {
            "waiting": snapshot.waiting,
            "max_waiting": self.connection.settings.max_waiting,
            "oldest_wait_sec": max(0, snapshot.now_ms - min(since)) / 1000 if since else 0.0,
        }

    # -- FixWurx's ResourceManager ---------------------------------------------------------

    @property
    def cluster_state(self) -> Snapshot:
        """The cluster at this instant; has `total_agents` and `free_agents`."""
        return self.connection.snapshot()

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
        return self._reservations.reserve(bug_id, bug_class) is not None

    def free_agents(self, bug_id: str) -> bool:
        """Frees what the bug holds or waits for; False when it held nothing. Harmless to repeat."""
        return self._reservations.release(bug_id)

    def has(self, bug_id: str) -> bool:
        """Whether the bug holds agents on some node."""
        return self.get_worker_for_bug(bug_id) is not None

    def update_total_agents(self, total_agents: int) -> None:
        """Changes how many agents a node has to begin with, from the coordinator's next `start` on;
        those of nodes that run are fixed."""
        if self.base_resource_manager is None:
            raise FixwurxError(
                "cannot change the agents of running nodes; give a base_resource_manager, whose "
                "total is that of the nodes to come"
            )
        self.base_resource_manager.update_total_agents(total_agents)

    def prioritise(self, priorities: Mapping[str, int]) -> dict[str, BugState]:
        """Gives the bugs these priorities, the higher the sooner; the states of those that have not
        ended. One that waits changes its place in line at once, one that runs would have it if it
        came to wait again. Raises ValueError beyond ±1000, before anything is changed."""
        for bug_id, priority in priorities.items():
            checked_priority(priority, bug_id)
        return self.connection.store.prioritise(priorities)

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
        if not self.connection.is_there:
            return None
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
        self._reservations.start(self.sync_interval_sec)

    def stop_sync(self) -> None:
        """Ends the keeping, and frees what this process has reserved."""
        self._reservations.stop()

    start, stop = start_sync, stop_sync
