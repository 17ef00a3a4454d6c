"""The newest look at the cluster, shared by all who ask, and never waited for for long."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fixwurx_celery.errors import StoreUnavailable
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore, connect
from fixwurx_celery.store.measurement import Measurement

if TYPE_CHECKING:
    from fixwurx_celery.cluster import ClusterResourceManager, Connection

__all__ = ["MOST_NODES", "Reading", "Readings"]

MOST_NODES: Final = 200
"""Nodes that have series of their own: a bound, because each costs several."""
FRESH_S: Final = 1.0
"""So long a look serves whoever asks: two Prometheus servers cost the store as much as one."""
ANSWER_S: Final = 3.0
"""A look that takes longer has failed. Prometheus gives up after 10 s unless told otherwise."""
CALL_S: Final = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the store told, how long that took, and for which cluster."""

    measured: Measurement
    round_trip_s: float
    namespace: str


class Readings:
    """Looks at a cluster. Thread-safe.

    The look is made in a thread of its own, because resolving a name or a TLS handshake may take
    for ever: whoever asks has an answer after ANSWER_S, and at once while a look hangs.
    """

    def __init__(
        self, where: Callable[[], Settings | None], *, most_nodes: int = MOST_NODES
    ) -> None:
        """`where` is asked before each look, since a program's own cluster comes and goes; None is
        nowhere. Connects when first asked."""
        self._where, self._most_nodes = where, most_nodes
        self._changed = threading.Condition()
        self._settings: Settings | None = None
        self._store: ClusterStore | None = None
        self._last: Reading | None = None
        self._looked_at = float("-inf")
        self._looking_since: float | None = None
        self._is_away = False

    @classmethod
    def of(cls, settings: Settings) -> "Readings":
        """Of the cluster that the settings name. Raises ConfigurationError when they name none."""
        settings.need_store()
        return cls(lambda: settings)

    @classmethod
    def of_cluster(
        cls, cluster: "Connection | ClusterResourceManager", *, most_nodes: int = MOST_NODES
    ) -> "Readings":
        """Of the cluster to which the connection leads, or that of what has one."""
        holder: Any = cluster
        connection: Connection = getattr(holder, "connection", holder)
        return cls(
            lambda: connection.settings if connection.is_there else None, most_nodes=most_nodes
        )

    @property
    def store(self) -> ClusterStore:
        """The store that was last looked at. Raises StoreUnavailable where there was none yet."""
        if self._store is None:
            raise StoreUnavailable("there is no cluster to look at")
        return self._store

    def latest(self) -> Reading | None:
        """A look at most FRESH_S old; None when the store does not answer."""
        with self._changed:
            now = time.monotonic()
            if now - self._looked_at <= FRESH_S:
                return self._last
            if self._looking_since is None:
                self._looking_since = now
                threading.Thread(target=self._look, name="metrics-look", daemon=True).start()
            began = self._looking_since
            is_over = self._changed.wait_for(
                lambda: self._looking_since != began, timeout=max(0.0, began + ANSWER_S - now)
            )
            return self._last if is_over else None

    def close(self) -> None:
        """Closes the connection."""
        if self._store is not None:
            self._store.close()

    def _look(self) -> None:
        reading: Reading | None = None
        try:
            if settings := self._where():
                store = self._store_of(settings)
                began = time.monotonic()
                measured = store.measure(self._most_nodes)
                reading = Reading(measured, time.monotonic() - began, settings.namespace)
            self._is_away = False
        except StoreUnavailable as error:
            if not self._is_away:
                log.warning("no metrics but `fixwurx_up 0`: %s", error)
            self._is_away = True
        except Exception:  # whatever it is, the next look begins anew
            log.exception("no metrics but `fixwurx_up 0`: unexpected trouble")
        with self._changed:
            self._last, self._looked_at = reading, time.monotonic()
            self._looking_since = None
            self._changed.notify_all()

    def _store_of(self, settings: Settings) -> ClusterStore:
        """Called by one look at a time."""
        if self._store is None or self._settings is not settings:
            self.close()
            client = connect(settings.redis_url, socket_timeout=CALL_S, retries=1)
            self._store, self._settings = ClusterStore(client, settings), settings
        return self._store
