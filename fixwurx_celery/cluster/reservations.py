"""Agents that this process reserves for work of its own, and keeps reserved while it lives."""

import logging
import os
import socket
import threading
import uuid

from fixwurx_celery.cluster.connection import Connection
from fixwurx_celery.errors import FixwurxError, StoreUnavailable
from fixwurx_celery.logs import Outage, event, words

__all__ = ["Reservations"]

log = logging.getLogger(__name__)


class Reservations:
    """What one holder in this process has reserved. Thread-safe.

    A reservation is a lease: `start` renews it, and when this process dies its agents are free
    within FIXWURX_LEASE_SEC.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._lock = threading.Lock()
        self._nodes: dict[str, str] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def reserve(self, work_id: str, work_class: str) -> str | None:
        """The node that has the agents, also when they were reserved before; None when no node has
        them, or when they are another's."""
        status, node = self._connection.store.reserve(work_id, work_class, self._holder)
        if status != "RESERVED":
            return None
        with self._lock:
            self._nodes[work_id] = node
        return node

    def release(self, work_id: str) -> bool:
        """Frees what the work holds or waits for, whoever reserved it; False when it held
        nothing."""
        with self._lock:
            self._nodes.pop(work_id, None)
        if not self._connection.is_there:
            return False
        status, assignments = self._connection.store.release(work_id)
        self._connection.ring(assignments)
        return status == "RELEASED"

    def oldest_on(self, node: str) -> str | None:
        """The work of this holder's that was reserved there first."""
        with self._lock:
            return next((work for work, its in self._nodes.items() if its == node), None)

    def start(self, every_s: float) -> None:
        """Renews what is reserved, at least so often, until `stop`. Harmless when repeated."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(
                target=self._renew, args=(every_s,), name="fixwurx-reservations", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Ends the renewing, and frees what is reserved as far as the store can be reached."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            thread.join(timeout=10)
        with self._lock:
            reserved = list(self._nodes)
        for work_id in reserved:
            try:
                self.release(work_id)
            except StoreUnavailable as error:
                log.warning(words(f"reservations are freed when their leases are over: {error}"))
                return

    def _renew(self, every_s: float) -> None:
        outage = Outage(log)
        while not self._stopping.wait(min(every_s, self._connection.settings.lease_sec / 3)):
            with self._lock:
                reserved = sorted(self._nodes)
            if not reserved:
                continue
            try:
                lost = self._connection.store.renew(reserved, self._holder)
            except FixwurxError as error:
                outage.begin(words(f"reservations could not be renewed: {error}"))
                continue
            outage.end("reservations are renewed again")
            if lost:
                for work_id in lost:
                    log.warning(event("bug_released", reason="its node has gone", bug=work_id))
                with self._lock:
                    for work_id in lost:
                        self._nodes.pop(work_id, None)
