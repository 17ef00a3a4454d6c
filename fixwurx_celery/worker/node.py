"""A node's life: registered, beating, draining, gone.

The heart beats in a thread of the worker's main process. The worker's own timers stop while the
broker is away, and during a warm shutdown; a thread does not (and a node that drains must go on
beating, or its bugs are started twice).

    start ──▶ register ──▶ READY ──SIGTERM──▶ STOPPING ──last bug ends, or grace is over──▶ OFFLINE
                 ▲           │ unknown to the store (it was lost, or the store is new)
                 └───────────┘ ends what runs, registers as a new incarnation
"""

import logging
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fixwurx_celery.artifacts import Artifacts, open_artifacts
from fixwurx_celery.broker import Doorbells, doorbell
from fixwurx_celery.domain.bugs import Assignment, class_name
from fixwurx_celery.engine.sandbox import why_unconfined
from fixwurx_celery.errors import FixwurxError, NodeUnknown, StoreUnavailable
from fixwurx_celery.logs import Line, Outage, event, words
from fixwurx_celery.processes import end_descendants, is_running
from fixwurx_celery.pulse import Pulse, Role
from fixwurx_celery.settings import SHIPPED_ENGINE, Settings
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.health import health_check, log_sweep
from fixwurx_celery.worker.endings import Ending, deliver
from fixwurx_celery.worker.incarnation import Incarnation
from fixwurx_celery.worker.premises import Premises
from fixwurx_celery.worker.presence import Presence
from fixwurx_celery.worker.recycling import Canary, begin_anew
from fixwurx_celery.worker.ringer import Ringer
from fixwurx_celery.worker.stopping import Stage, Stopping, see_to_end

__all__ = ["DuplicateNode", "Node"]

SWEEP_AT_ONCE: Final = 20
AGAIN_AFTER_S: Final = 0.1
HEARD_WITHIN_S: Final = 2.0

log = logging.getLogger(__name__)


class DuplicateNode(FixwurxError):
    """Another live node has this name."""

    def __init__(self, worker_id: str) -> None:
        super().__init__(
            f"cannot start node {worker_id}: a live node has this name; give this one another "
            "with -n, or stop that one first"
        )


@dataclass(frozen=True, slots=True)
class Loss:
    """A pool process of this node ended under a bug."""

    bug_id: str
    epoch: int
    reason: str
    charge: str


class Node:
    """This process's node. `enter` and `leave` are its bootstep's; the thread does the rest."""

    def __init__(self, settings: Settings, doorbells: Callable[[], Doorbells]) -> None:
        self._settings, self._doorbells_of = settings, doorbells
        self.incarnation = Incarnation()
        self.worker_id = ""
        self.pool_pids: Callable[[], list[int]] = list
        self.primary: Callable[[], tuple[str, int] | None] = lambda: None
        self._profile = class_name(settings.total_agents, settings.capabilities)
        self._losses: deque[Loss] = deque()
        self.stopping = Stopping()
        self._left = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._premises: Premises | None = None
        self._stage_ordered = Stage.IN_SERVICE
        self._moves_at = 0.0
        self._has_retired = self._is_displaced = False
        self._canary = Canary()
        self._recycle_by: float | None = None
        self._spool_outage = Outage(log)
        self._pulse = Pulse(settings, Role.NODE)
        self._unconfined = ""

    @property
    def premises(self) -> Premises:
        """The node's place on this host, once it is prepared."""
        assert self._premises is not None, "prepare comes first"  # noqa: S101 - Celery's order
        return self._premises

    def _words(self, text: str) -> Line:
        return words(text, node=self.worker_id)

    def _registered(self) -> Line:
        labels = ",".join(sorted(self._settings.capabilities))
        agents = self._settings.total_agents
        return event("node_registered", agents=agents, capabilities=labels, node=self.worker_id)

    # -- called by the worker's main thread ------------------------------------------------

    def prepare(self, worker_id: str) -> None:
        """Before the pool forks and the queue is declared: the folder for its bugs, the warden over
        it, and word to the store that a queue is about to be."""
        self.worker_id = worker_id
        self._premises = Premises(self._settings)
        store = self._store()
        try:
            store.expect_node(worker_id)
        except StoreUnavailable as error:  # it is waited for later, when the node registers
            log.warning(self._words(f"the store is away: {error}"))
        finally:
            store.close()

    def enter(self) -> bool:
        """Registers and starts beating; False when it was told to stop before it could. Raises
        DuplicateNode when the name is taken, SandboxError when it could not run bugs confined.

        A store that is away is waited for, as the broker is. A node of this name that froze may
        look alive until its heartbeats are overdue: so long is tried. What an earlier life left in
        the spool is delivered first, for once this life is registered, the store takes nothing
        from that one any more.
        """
        if self._settings.engine == SHIPPED_ENGINE:  # one of the user's confines what it will
            self._unconfined = why_unconfined(self._settings)
        if self._unconfined and self._settings.sandbox != "off":
            log.warning(
                self._words(
                    "the node runs commands of repositories with all rights of its user: "
                    f"{self._unconfined}"
                )
            )
        store = self._store()
        if self._settings.broker == self._settings.redis_url:
            self.primary = lambda: store.primary
        presence = Presence(self._store(), self.worker_id, self.incarnation)
        presence.wait_until_heard(HEARD_WITHIN_S)
        self._deliver_spool(store)
        ringer = Ringer(self._doorbells_of(), self._store())
        if not self._register_at_last(store, ringer):
            for one in (presence, ringer, store):
                one.close()
            if self.stopping.stage:
                return False
            raise DuplicateNode(self.worker_id)
        self._thread = threading.Thread(
            target=self._live, args=(store, presence, ringer), name="heart", daemon=True
        )
        self._thread.start()
        threading.Thread(
            target=see_to_end,
            args=(self.stopping, self._settings.drain_timeout_sec),
            kwargs={"wake": self._wake.set, "pool_pids": self.pool_pids, "leave": self.leave},
            name="end",
            daemon=True,
        ).start()
        log.info(self._registered())
        return True

    def _register_at_last(self, store: ClusterStore, ringer: Ringer) -> bool:
        """Whether the store took this life in; it is asked until another of its name must long be
        overdue, not counting the time for which the store is away, or until the node is stopped."""
        patience_s = self._settings.heartbeat_timeout_sec + 2
        deadline = time.monotonic() + patience_s
        outage = Outage(log)
        while not self.stopping.stage and time.monotonic() < deadline:
            try:
                is_taken = self._register(store, ringer)
                outage.end("the store is there", node=self.worker_id)
                if is_taken:
                    return True
            except StoreUnavailable as error:
                outage.begin(self._words(f"the node waits for the store: {error}"))
                deadline = time.monotonic() + patience_s
            time.sleep(0.5)
        return False

    def drain(self) -> None:
        """Takes no more bugs; the pool ends its own, at most for the grace time."""
        self.stopping.rise_to(Stage.DRAINING)

    def leave(self, within_s: float = 15) -> None:
        """Deregisters, once the pool is empty. What the store does not take now is kept."""
        self.drain()
        self._left.set()
        self._wake.set()
        if self._thread is None:
            return
        self._thread.join(within_s)
        self._keep_losses()
        if not self._has_retired:
            self.premises.spool.keep_life(self.worker_id, self.incarnation())

    def took_a_message(self) -> None:
        """The worker's consumer works."""
        self._canary.received()

    def lost_process(self, bug_id: str, epoch: int, reason: str, charge: str = "attempts") -> None:
        """A pool process ended under this bug: its descendants are ended, the bug is given back.

        Nobody pays when the node stops: the process may have ended because of that.
        """
        if self.stopping.stage:
            charge = ""
        self._losses.append(Loss(bug_id, epoch, reason, charge))
        self._wake.set()

    # -- the heart -------------------------------------------------------------------------

    def _live(self, store: ClusterStore, presence: Presence, ringer: Ringer) -> None:
        every_s = self._settings.heartbeat_interval_sec
        beat_at = sweep_at = health_at = 0.0
        health_at = time.monotonic() + self._settings.health_check_interval_sec
        outage = Outage(log)
        while not self._left.is_set():
            now = time.monotonic()
            try:
                self._give_back_losses(store, ringer)
                if not self._is_displaced and (
                    self.stopping.stage > self._stage_ordered
                    or (self.stopping.stage and now >= beat_at)
                ):
                    self._order_drain(store, ringer)
                if now >= beat_at:
                    self._beat(store, ringer)
                    beat_at = now + every_s
                    outage.end("the node's heart beats again", node=self.worker_id)
                if now >= sweep_at:
                    live_nodes = self._sweep(store, ringer)
                    sweep_at = now + sweep_every_s(live_nodes, every_s)
                if now >= health_at:
                    self._mend(store, ringer)
                    health_at = now + self._settings.health_check_interval_sec
            except StoreUnavailable as error:
                outage.begin(self._words(f"the node has no heartbeat: {error}"))
                beat_at = sweep_at = now + AGAIN_AFTER_S
            except Exception:  # the heart must not stop: whatever it was, it is tried again
                log.exception(self._words("unexpected trouble in the node's heartbeat"))
                beat_at = sweep_at = now + every_s
            self._wake.wait(max(0.0, min(beat_at, sweep_at) - time.monotonic()))
            self._wake.clear()
        self._pulse.stop()
        self._retire(store, ringer)
        presence.close()
        ringer.close()
        store.close()

    def _store(self) -> ClusterStore:
        # An answer that got lost is asked for again before the silence costs this node its life.
        return ClusterStore.from_settings(
            self._settings, bell=doorbell(self._settings), is_patient=False
        )

    def _beat(self, store: ClusterStore, ringer: Ringer) -> None:
        """One heartbeat; a new life, when the store has taken this one for lost."""
        self.premises.keep_warden()
        self._deliver_spool(store, ringer)
        told = store.heartbeat(self.worker_id, self.incarnation(), self._load())
        if told is not None:
            self._pulse.beat()
            ringer.ring(told.assignments)
            if self.stopping.stage:
                return
            if self._recycle_by is not None:
                self._recycle(store, ringer)
            elif told.unstarted:
                self._look_at_consumer(ringer)
        elif not self.stopping.stage and not self._is_displaced:
            log.warning(
                self._words("the node was taken for lost: it ends its bugs and joins again")
            )
            self.incarnation.renew()  # first: whose engine ends from here on has lost its bug
            self.premises.end_all_engines()
            if not self._register(store, ringer):
                # It must not go on taking what is meant for the other one.
                log.error(self._words("the node ends: another node has taken its name since"))
                self._is_displaced = True
                os.kill(os.getpid(), signal.SIGTERM)
                return
            log.info(self._registered())

    def _sweep(self, store: ClusterStore, ringer: Ringer) -> int:
        """Brings in order what others left; the number of nodes in service."""
        swept = store.sweep(
            SWEEP_AT_ONCE,
            node=self.worker_id,
            incarnation=self.incarnation(),
            can_ring=ringer.can_ring,
        )
        ringer.ring(swept.assignments)
        log_sweep(swept)
        for worker_id in swept.queues:
            ringer.delete_queue(worker_id)
        return swept.live_nodes

    def _look_at_consumer(self, ringer: Ringer) -> None:
        """Bugs that were given to this node were not started: it rings itself, to learn why."""
        if self._canary.is_lost():
            log.error(
                self._words(
                    "the node beats and takes nothing from its queue: it drains, and begins anew"
                )
            )
            self._recycle_by = time.monotonic() + self._settings.drain_timeout_sec
        else:
            self._canary.ring(lambda rung: ringer.ring_canary(self.worker_id, rung))

    def _recycle(self, store: ClusterStore, ringer: Ringer) -> None:
        """Begins anew once nothing runs here any more, or the grace time is over."""
        running, assignments = store.drain(self.worker_id, self._settings.drain_timeout_sec)
        ringer.ring(assignments)
        if running and time.monotonic() < (self._recycle_by or 0.0):
            return
        ringer.ring(store.retire(self.worker_id, self.incarnation()) or [])
        ringer.close()
        begin_anew(self.premises.run_dir)

    def _mend(self, store: ClusterStore, ringer: Ringer) -> None:
        """The health check, if nobody else carries it out in this period."""
        holder = f"{self.worker_id}:{self.incarnation()}"
        ringer.ring(health_check(store, holder, self._settings.health_check_interval_sec) or [])

    def _register(self, store: ClusterStore, ringer: Ringer) -> bool:
        answer = store.register(self.worker_id, self.incarnation(), self._profile, facts())
        if isinstance(answer, str):
            return False
        ringer.ring(answer)
        return True

    def _order_drain(self, store: ClusterStore, ringer: Ringer) -> None:
        """Says that this node drains. At every beat: neither a `node resume` nor a store that lost
        its last second may bring it back."""
        stage = self.stopping.stage
        if self._stage_ordered is Stage.IN_SERVICE:
            self._moves_at = time.monotonic() + self._settings.drain_timeout_sec
        if stage is Stage.HURRYING:
            self._moves_at = min(self._moves_at, time.monotonic())
        grace_s = max(0.0, self._moves_at - time.monotonic())
        try:
            running, assignments = store.drain(self.worker_id, grace_s)
        except NodeUnknown:  # taken for lost meanwhile, and its bugs with it
            running, assignments = 0, []
        ringer.ring(assignments)
        if stage > self._stage_ordered and (running or stage is Stage.DRAINING):
            ends = "move now" if stage is Stage.HURRYING else f"may run for {grace_s:.0f} s"
            what = f"{running} bugs run, and {ends}" if running else "no bug runs"
            log.info(event("node_draining", what, running=running, node=self.worker_id))
        self._stage_ordered = stage
        if not running:  # nothing to wait for
            self.stopping.rise_to(Stage.HURRYING)

    def _give_back_losses(self, store: ClusterStore, ringer: Ringer) -> None:
        while self._losses:
            self._deliver_spool(store, ringer)  # how the run had ended before its process did
            loss = self._losses[0]
            ending = self._ending(loss)
            if not end_descendants(spare=[self.premises.warden_pid]):
                log.error(words("processes of the bug outlived SIGKILL", **ending.about))
            _, assignments = deliver(store, self._open_artifacts, ending)
            self._losses.popleft()
            ringer.ring(assignments)

    def _keep_losses(self) -> None:
        """Writes down what the store was not told of; the next node on this host tells it."""
        for loss in list(self._losses):
            self.premises.spool.keep(self._ending(loss))

    def _ending(self, loss: Loss) -> Ending:
        return Ending(
            bug_id=loss.bug_id,
            node=self.worker_id,
            incarnation=self.incarnation(),
            epoch=loss.epoch,
            runner="",
            charge=loss.charge,
            reason=loss.reason,
        )

    def _open_artifacts(self) -> Artifacts:
        return open_artifacts(self._settings, is_patient=False)

    def _deliver_spool(self, store: ClusterStore, ringer: Ringer | None = None) -> None:
        """Tells the store how runs, and lives of this host's nodes, ended while it was away."""
        told: list[Assignment] = []
        try:
            for _, _, assignments in self.premises.spool.deliver_all(store, self._open_artifacts):
                told += assignments
            for node, assignments in self.premises.spool.retire_all(store):
                log.info(event("node_lost", "it had ended while the store was away", node=node))
                told += assignments
            self._spool_outage.end("what the node kept is delivered", node=self.worker_id)
        except StoreUnavailable as error:
            self._spool_outage.begin(
                self._words(f"what the node kept is not delivered yet: {error}")
            )
        if ringer is not None:
            ringer.ring(told)

    def _retire(self, store: ClusterStore, ringer: Ringer) -> None:
        try:
            following = store.retire(self.worker_id, self.incarnation())
            self._has_retired = True
            if following is not None:
                ringer.ring(following)
                ringer.delete_queue(self.worker_id)
        except StoreUnavailable as error:
            log.warning(self._words(f"the node could not deregister: {error}"))

    def _load(self) -> Mapping[str, Any]:
        return {
            "pool_processes": sum(is_running(pid) for pid in self.pool_pids()),
            "spooled_endings": len(self.premises.spool),
            "clock_ms": round(time.time() * 1000),  # shown, never decided on
            "load_average": os.getloadavg()[0],
            "unconfined": self._unconfined,
        }


def sweep_every_s(live_nodes: int, heartbeat_s: float) -> float:
    """How long a node waits between sweeps: all nodes together sweep some twenty times a second,
    however many there are; none more often than ten times, nor less often than it beats."""
    return min(max(0.1, 0.05 * live_nodes), heartbeat_s)


def facts() -> dict[str, Any]:
    """What is shown of this host."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "hostname": socket.gethostname(),
        "pid": os.getpid(),
        "cpu_cores": os.cpu_count() or 0,
        "memory_mb": pages * size // 2**20,
    }
