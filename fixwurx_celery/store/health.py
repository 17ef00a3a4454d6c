"""The periodic health check of the store's own state: whoever comes first carries it out."""

import logging

from fixwurx_celery.domain.bugs import Assignment
from fixwurx_celery.store.cluster_store import ClusterStore

__all__ = ["HEALTH_CHECK", "health_check"]

HEALTH_CHECK = "health_check"
"""The name of the tick."""

log = logging.getLogger(__name__)


def health_check(store: ClusterStore, holder: str, every_s: float) -> list[Assignment] | None:
    """Mends the indexes, and answers what to ring; None when somebody else does it this time."""
    term = store.claim_tick(HEALTH_CHECK, holder, int(every_s * 1000))
    if term is None:
        return None
    mended, assignments = store.mend()
    store.end_tick(HEALTH_CHECK, term)
    if mended:
        log.warning("%d things were not where the records say, and are now; see the events", mended)
    return assignments
