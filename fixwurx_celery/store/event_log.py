"""The event log of a live store: read as a whole, and judged by what the store holds."""

from collections.abc import Iterator

from fixwurx_celery.store.cluster_store import ClusterStore
from fixwurx_celery.store.history import History
from fixwurx_celery.store.records import Event

__all__ = ["log_violations", "whole_log"]


def whole_log(store: ClusterStore, after: str = "0-0") -> Iterator[Event]:
    """Every event that the log still has (after that one), the oldest first; ends with the log."""
    while events := store.events(after, most=5000):
        yield from events
        after = events[-1].id


def log_violations(store: ClusterStore, most: int) -> list[str]:
    """What the last `most` events say is wrong, and bugs that were taken and are absent."""
    history = History(is_whole=False)  # however short it is: somebody may have cut it
    events = store.last_events(most)
    wrong = [line for event in events for line in history.feed(event)]
    absent = _absent(store, history)
    if absent:
        # Released, or ended and expired, since the log was read?
        for event in store.events(events[-1].id, most=most):
            history.feed(event)
        absent &= _absent(store, history)
    return wrong + [f"bug {bug} was taken, and is absent" for bug in sorted(absent)]


def _absent(store: ClusterStore, history: History) -> set[str]:
    live = history.unfinished
    return set(live) - {record.id for record in store.bugs(live)}
