"""Which bugs a list shows."""

from typing import Final

from fixwurx_celery.domain.bugs import TERMINAL, BugState
from fixwurx_celery.store import BugRecord, ClusterStore, Snapshot

__all__ = ["listed"]

HELD: Final = frozenset({BugState.ASSIGNED, BugState.RUNNING, BugState.RESERVED})
MARGIN: Final = 1000
"""So many bugs may end between two looks without one of them being missed."""


def listed(
    store: ClusterStore, snapshot: Snapshot, states: frozenset[BugState], limit: int
) -> list[BugRecord]:
    """At most `limit` bugs in one of the states (none given: in any).

    Ids come from the store as bugs on nodes, in line, ended; what lies before the states that are
    wanted is skipped, so that a list of ended bugs does not read a million waiting ones.
    """
    held = [bug for node in snapshot.nodes for bug in node.bugs]
    if not states:
        return store.bugs(store.bug_ids(limit)[:limit])
    if states <= HELD:
        return [record for record in store.bugs(held) if record.state in states][:limit]
    before = 0
    if not states & HELD:
        before = len(held)
        if states <= TERMINAL:
            before += snapshot.waiting
    found: list[BugRecord] = []
    done, most = max(0, before - MARGIN), before + limit
    while True:
        ids = store.bug_ids(most)
        found += [record for record in store.bugs(ids[done:]) if record.state in states]
        if len(found) >= limit or len(ids) < most:
            return list({record.id: record for record in found}.values())[:limit]
        done, most = max(0, len(ids) - MARGIN), most * 4
