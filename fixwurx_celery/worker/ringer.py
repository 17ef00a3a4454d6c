"""The node's bell-ringer: what the node has to say to the broker, said from a thread of its own.

A broker that is slow, away or frozen must hold up neither heartbeats nor failover.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from fixwurx_celery.broker import Doorbells
from fixwurx_celery.domain.bugs import Assignment
from fixwurx_celery.errors import StoreUnavailable
from fixwurx_celery.logs import Outage, words
from fixwurx_celery.store import ClusterStore

__all__ = ["Ringer"]

NO_BUG: Final = "-"
"""No bug has this id; the store answers that its start is stale."""
SLOW_S: Final = 0.5
"""A broker that takes longer over a bell is taken for silent."""
AGAIN_AFTER_S: Final = 3.0
"""So long a broker that took no bell is left to the others."""
MOST_UNSAID: Final = 1000
"""Orders kept for a broker that is away. What does not fit, later sweeps ask for again."""

log = logging.getLogger(__name__)


class Ringer:
    """Rings and deletes queues, in order, without keeping its caller."""

    def __init__(self, doorbells: Doorbells, store: ClusterStore) -> None:
        """Both are the ringer's own, and are closed with it."""
        self._doorbells, self._store = doorbells, store
        self._orders: queue.Queue[Callable[[], object] | None] = queue.Queue(MOST_UNSAID)
        self._ringing_since: float | None = None
        self._left_to_others_until = 0.0
        self._outage = Outage(log)
        self._thread = threading.Thread(target=self._run, name="ringer", daemon=True)
        self._thread.start()

    @property
    def can_ring(self) -> bool:
        """Whether the broker took the last bell, or may do so by now. A node that cannot ring must
        not take upon itself what others could."""
        now, since = time.monotonic(), self._ringing_since
        is_slow = since is not None and now - since > SLOW_S
        return not is_slow and now >= self._left_to_others_until

    def ring(self, assignments: Sequence[Assignment]) -> None:
        """Rings the nodes of these assignments."""
        if assignments:
            self._order(lambda: self._ring(assignments))

    def _ring(self, assignments: Sequence[Assignment]) -> None:
        self._ringing_since = time.monotonic()
        is_taken = self._doorbells.ring(assignments)
        self._ringing_since = None
        self._left_to_others_until = 0.0 if is_taken else time.monotonic() + AGAIN_AFTER_S

    def ring_canary(self, worker_id: str, rung: Callable[[float | None], None]) -> bool:
        """Rings that node for no bug, and tells when: just before the broker took it, or None if
        it did not. False when not even this can be ordered."""

        def ring() -> None:
            at = time.monotonic()
            is_taken = False
            try:
                is_taken = self._doorbells.ring([Assignment(worker_id, NO_BUG, 0)])
            finally:
                rung(at if is_taken else None)

        return self._order(ring)

    def delete_queue(self, worker_id: str) -> None:
        """Deletes the queue of a node that went, and tells the store that it is done."""

        def delete() -> None:
            if self._doorbells.forget(worker_id):
                self._store.forget_queue(worker_id)

        self._order(delete)

    def close(self, timeout_s: float = 5.0) -> None:
        """Says what is still to be said, if the broker takes it in that time."""
        self._order(None)
        self._thread.join(timeout_s)

    def _order(self, order: Callable[[], object] | None) -> bool:
        try:
            self._orders.put_nowait(order)
        except queue.Full:
            self._outage.begin(words("the broker takes nothing; later sweeps ring again"))
            return False
        self._outage.end("the broker takes something again")
        return True

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            try:
                order()
            except StoreUnavailable as error:
                log.warning(words(f"a queue is deleted, and will be once more: {error}"))
            except Exception:  # the next order may be carried out
                log.exception("unexpected trouble with the broker")
        self._doorbells.close()
        self._store.close()
