"""That the store can see this process: a connection that listens, and drops when the process dies.

The store counts who listens on the channel of a node's life (`lua/lib/4_liveness.lua`). The
listening has a thread and a connection of its own, so that nothing else that the node does can keep
it from being there again within milliseconds after the connection was lost.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final

from fixwurx_celery.errors import StoreUnavailable
from fixwurx_celery.logs import words
from fixwurx_celery.store import ClusterStore

__all__ = ["Presence"]

AGAIN_AFTER_S: Final = 0.02
LISTEN_S: Final = 1.0

log = logging.getLogger(__name__)


class Presence:
    """Listens for as long as it is open, on the channel of whichever life is the present one."""

    def __init__(self, store: ClusterStore, worker_id: str, incarnation: Callable[[], str]) -> None:
        """`store` is this presence's own; it is closed with it."""
        self._store, self._worker_id, self._incarnation = store, worker_id, incarnation
        self._closing = threading.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)
        self._thread.start()

    def wait_until_heard(self, timeout_s: float) -> bool:
        """Whether it listened within that time."""
        return self._listening.wait(timeout_s)

    def close(self) -> None:
        """Hangs up."""
        self._closing.set()
        self._thread.join(timeout=2 * LISTEN_S)
        self._store.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._listen()
            except StoreUnavailable:
                self._closing.wait(AGAIN_AFTER_S)
            except Exception:  # it must not end: without it the node would be taken for dead
                log.exception(words("unexpected trouble while listening", node=self._worker_id))
                self._closing.wait(LISTEN_S)

    def _listen(self) -> None:
        incarnation = self._incarnation()
        with self._store.listen(self._worker_id, incarnation) as listening:
            while not self._closing.is_set() and self._incarnation() == incarnation:
                with self._store.reaching():
                    self._store.follow()  # a primary that was replaced may go on answering
                    if listening.get_message(timeout=LISTEN_S):
                        self._listening.set()
