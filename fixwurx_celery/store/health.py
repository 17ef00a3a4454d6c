"""The periodic health check of the store's own state, and what sweeps have to tell."""

import logging

from fixwurx_celery.domain.bugs import Assignment
from fixwurx_celery.logs import event
from fixwurx_celery.store.cluster_store import ClusterStore
from fixwurx_celery.store.records import Sweep

__all__ = ["HEALTH_CHECK", "health_check", "log_sweep"]

HEALTH_CHECK = "health_check"
"""The name of the tick."""

log = logging.getLogger(__name__)


def health_check(store: ClusterStore, holder: str, every_s: float) -> list[Assignment] | None:
    """Mends the indexes, and answers what to ring; None when somebody else does it this time:
    whoever comes first carries it out."""
    term = store.claim_tick(HEALTH_CHECK, holder, int(every_s * 1000))
    if term is None:
        return None
    mended, assignments = store.mend()
    store.end_tick(HEALTH_CHECK, term)
    if mended:
        log.warning(event("mended", f"{mended} were not where the records say", count=mended))
    return assignments


def log_sweep(swept: Sweep) -> None:
    """Who sweeps says what befell other nodes and their bugs: nobody else does."""
    for action, bug, node, epoch, detail in swept.happened:
        about = {"bug": bug, "epoch": int(epoch) if epoch else None, "node": node}
        log.warning(event(action, reason=detail, **about))
