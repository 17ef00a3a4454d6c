"""What the event log must show: invariants 3 and 4 over time."""

from collections.abc import Sequence

from fixwurx_celery.store.cluster_store import ClusterStore
from fixwurx_celery.store.records import Event

__all__ = ["event_violations", "history_violations"]

ENDS = ("bug_finished", "bug_cancelled", "bug_escalated")


def history_violations(store: ClusterStore, most: int) -> list[str]:
    """What the last `most` events say is wrong, and bugs that were taken and are absent."""
    events = store.last_events(most)
    wrong = event_violations(events)
    taken = sorted(_still_there(events))
    absent = set(taken) - {record.id for record in store.bugs(taken)}
    if absent and events:
        # Released or ended and expired since the log was read?
        absent &= _still_there([*events, *store.events(events[-1].id, most=most)])
        absent -= {record.id for record in store.bugs(sorted(absent))}
    return wrong + [f"bug {bug} was taken, and is absent" for bug in sorted(absent)]


def event_violations(events: Sequence[Event]) -> list[str]:
    """Epochs that do not rise, and bugs that ended twice."""
    wrong: list[str] = []
    epochs: dict[str, int] = {}
    ended: set[str] = set()
    for event in events:
        if event.action in ("bug_assigned", "bug_reserved"):
            if int(event.epoch) <= epochs.get(event.bug, 0):
                wrong.append(f"bug {event.bug} was assigned with epoch {event.epoch} again")
            epochs[event.bug] = int(event.epoch)
        elif event.action == "bug_submitted":
            ended.discard(event.bug)
        elif event.action in ENDS:
            if event.bug in ended:
                wrong.append(f"bug {event.bug} ended twice")
            ended.add(event.bug)
    return wrong


def _still_there(events: Sequence[Event]) -> set[str]:
    """Bugs that must have a record. Those that ended may have expired."""
    there: set[str] = set()
    reserved: set[str] = set()
    for event in events:
        if event.action == "bug_submitted":
            there.add(event.bug)
        elif event.action == "bug_reserved":
            reserved.add(event.bug)
            there.add(event.bug)
        elif event.action in ("bug_released", *ENDS) or (
            event.action == "bug_given_back" and event.bug in reserved
        ):
            there.discard(event.bug)
            reserved.discard(event.bug)
    return there
