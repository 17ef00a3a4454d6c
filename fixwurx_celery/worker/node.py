"""A node's life: registered, beating, draining, gone.

The heart beats in a thread of the worker's main process. The worker's own timers stop while the
broker is away, and during a warm shutdown; a thread does not (and a node that drains must go on
beating, or its bugs are started twice).

    start ──▶ register ──▶ READY ──SIGTERM──▶ STOPPING ──last bug ends, or grace is over──▶ OFFLINE
                 ▲           │ unknown to the store (it was lost, or the store is new)
                 └───────────┘ ends what runs, registers as a new incarnation
"""

import contextlib
import logging
import mmap
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fixwurx_celery.broker import Doorbells, doorbell
from fixwurx_celery.domain.bugs import class_name
from fixwurx_celery.errors import FixwurxError, StoreUnavailable
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.worker import warden
from fixwurx_celery.worker.processes import (
    end_descendants,
    identity,
    inherit_orphans,
    is_alive,
)

__all__ = ["DuplicateNode", "Node"]

SWEEP_AT_ONCE: Final = 20

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


class Incarnation:
    """The node's present life, in memory that the pool processes share."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 32)
        self.renew()

    def renew(self) -> str:
        """A new life's name."""
        self._shared[:] = uuid.uuid4().hex.encode()
        return self()

    def __call__(self) -> str:
        return self._shared[:].decode()


class Node:
    """This process's node. `enter` and `leave` are its bootstep's; the thread does the rest."""

    def __init__(self, settings: Settings, doorbells: Callable[[], Doorbells]) -> None:
        self._settings, self._doorbells_of = settings, doorbells
        self.incarnation = Incarnation()
        self.worker_id = ""
        self.run_dir = Path()
        self.pool_pids: Callable[[], list[int]] = list
        self.primary: Callable[[], tuple[str, int] | None] = lambda: None
        self._profile = class_name(settings.total_agents, settings.capabilities)
        self._losses: queue.SimpleQueue[Loss] = queue.SimpleQueue()
        self._leaving = threading.Event()
        self._left = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._warden: subprocess.Popen[bytes] | None = None

    # -- called by the worker's main thread ------------------------------------------------

    def prepare(self, worker_id: str) -> None:
        """Before the pool forks: the folder for its bugs, and the warden over it."""
        self.worker_id = worker_id
        base = Path(
            self._settings.work_dir
            or Path(tempfile.gettempdir()) / f"fixwurx-{os.getuid()}"
        )  # fmt: skip
        base.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._clear_after_the_dead(base)
        self.run_dir = Path(tempfile.mkdtemp(prefix="node-", dir=base))
        (self.run_dir / "main").write_text(identity(os.getpid()) or "")
        inherit_orphans()
        self._warden = subprocess.Popen(
            [sys.executable, "-I", "-S", warden.__file__, str(self.run_dir), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def enter(self) -> None:
        """Registers and starts beating. Raises DuplicateNode when the name is taken.

        The connection of a node that was killed may look alive until its timeout: so long is tried.
        """
        store = ClusterStore.from_settings(self._settings, bell=doorbell(self._settings))
        if self._settings.broker == self._settings.redis_url:
            self.primary = lambda: store.primary
        deadline = time.monotonic() + self._settings.heartbeat_timeout_sec + 2
        while not self._register(store):
            if time.monotonic() > deadline:
                store.close()
                raise DuplicateNode(self.worker_id)
            time.sleep(0.5)
        self._thread = threading.Thread(target=self._live, args=(store,), name="heart", daemon=True)
        self._thread.start()
        log.info(
            "node %s is ready: %s agents, capabilities %s",
            self.worker_id,
            self._settings.total_agents,
            ",".join(sorted(self._settings.capabilities)) or "none",
        )

    def drain(self) -> None:
        """Takes no more bugs; the pool ends its own, at most for the grace time."""
        if not self._leaving.is_set():
            self._leaving.set()
            self._wake.set()

    def leave(self) -> None:
        """Deregisters, once the pool is empty."""
        self.drain()
        self._left.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=15)

    def lost_process(self, bug_id: str, epoch: int, reason: str, charge: str = "attempts") -> None:
        """A pool process ended under this bug: its descendants are ended, the bug is given back."""
        self._losses.put(Loss(bug_id, epoch, reason, charge))
        self._wake.set()

    # -- the heart -------------------------------------------------------------------------

    def _live(self, store: ClusterStore) -> None:
        doorbells = self._doorbells_of()
        orders = None
        drain_until = float("inf")
        while not self._left.is_set():
            began = time.monotonic()
            try:
                orders = orders or store.orders(self.worker_id, self.incarnation())
                self._give_back_losses(store, doorbells)
                if self._leaving.is_set():
                    if drain_until == float("inf"):
                        running, assignments = store.drain(self.worker_id)
                        doorbells.ring(assignments)
                        drain_until = began + self._settings.drain_timeout_sec
                        log.info("node %s drains: %d bugs still run", self.worker_id, running)
                    elif began > drain_until:
                        self._move_all(store, doorbells)
                        drain_until = began + self._settings.drain_timeout_sec
                if not self._beat(store, doorbells):
                    orders.close()
                    orders = None
                while orders is not None and orders.get_message(timeout=0):
                    pass
            except StoreUnavailable as error:
                log.warning("node %s has no heartbeat: %s", self.worker_id, error)
                orders = None
            except Exception:  # the heart must not stop: whatever it was, it is tried again
                log.exception("node %s: unexpected trouble in its heartbeat", self.worker_id)
                orders = None
            self._wake.wait(
                max(0.0, began + self._settings.heartbeat_interval_sec - time.monotonic())
            )
            self._wake.clear()
        self._retire(store, doorbells)
        doorbells.close()
        store.close()

    def _beat(self, store: ClusterStore, doorbells: Doorbells) -> bool:
        """One heartbeat, and a sweep of what others left; False when a new life began."""
        told = store.heartbeat(self.worker_id, self.incarnation(), self._load())
        if told is None:
            if self._leaving.is_set():
                return True
            log.warning(
                "node %s was taken for lost: it ends its bugs and joins again", self.worker_id
            )
            self._end_all_engines()
            self.incarnation.renew()
            if not self._register(store):
                log.error("node %s cannot join again: its name is taken", self.worker_id)
            return False
        doorbells.ring(told.assignments)
        swept = store.sweep(SWEEP_AT_ONCE)
        doorbells.ring(swept.assignments)
        for gone in swept.gone:
            log.warning("node %s was lost; its bugs go elsewhere", gone)
            doorbells.forget(gone)
        return True

    def _register(self, store: ClusterStore) -> bool:
        answer = store.register(self.worker_id, self.incarnation(), self._profile, facts())
        if isinstance(answer, str):
            return False
        bells = self._doorbells_of()
        bells.ring(answer)
        bells.close()
        return True

    def _give_back_losses(self, store: ClusterStore, doorbells: Doorbells) -> None:
        while True:
            try:
                loss = self._losses.get_nowait()
            except queue.Empty:
                return
            if not end_descendants(spare=[self._warden.pid] if self._warden else []):
                log.error("processes of bug %s outlived SIGKILL", loss.bug_id)
            try:
                _, assignments = store.fail_attempt(
                    loss.bug_id,
                    self.worker_id,
                    self.incarnation(),
                    loss.epoch,
                    loss.charge,
                    loss.reason,
                )
            except StoreUnavailable:
                self._losses.put(loss)
                raise
            doorbells.ring(assignments)

    def _move_all(self, store: ClusterStore, doorbells: Doorbells) -> None:
        """The grace time is over: what still runs here goes elsewhere, uncharged. Its runners find
        out at their next report, and end their engines."""
        for node in store.snapshot().nodes:
            if node.worker_id == self.worker_id:
                for record in store.bugs(list(node.bugs)):
                    _, assignments = store.fail_attempt(
                        record.id, self.worker_id, self.incarnation(), record.epoch, "", "node ends"
                    )
                    doorbells.ring(assignments)

    def _retire(self, store: ClusterStore, doorbells: Doorbells) -> None:
        try:
            doorbells.ring(store.retire(self.worker_id, self.incarnation()))
            doorbells.forget(self.worker_id)
        except StoreUnavailable as error:
            log.warning("node %s could not deregister: %s", self.worker_id, error)

    def _end_all_engines(self) -> None:
        known = warden.sessions(str(self.run_dir))
        for pid in warden.strays(str(self.run_dir), known):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)

    def _load(self) -> Mapping[str, Any]:
        return {"pool_processes": len(self.pool_pids()), "load_average": os.getloadavg()[0]}

    def _clear_after_the_dead(self, base: Path) -> None:
        """Ends and removes what nodes of this host left that were killed with their wardens."""
        for folder in base.glob("node-*"):
            try:
                main = (folder / "main").read_text()
            except OSError:
                continue  # about to be made, or about to be removed
            if main and not is_alive(main):
                log.warning("ending what a dead node left in %s", folder)
                warden.clear(str(folder))


def facts() -> dict[str, Any]:
    """What is shown of this host."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "hostname": socket.gethostname(),
        "pid": os.getpid(),
        "cpu_cores": os.cpu_count() or 0,
        "memory_mb": pages * size // 2**20,
    }
