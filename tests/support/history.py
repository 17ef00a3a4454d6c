"""What the event log proves: it is written in the same script as the change it tells."""

from collections.abc import Iterator, Mapping

from fixwurx_celery.store import ClusterStore, Event

OFF = ("bug_finished", "bug_given_back", "bug_cancelled", "bug_released")


def whole_log(store: ClusterStore) -> Iterator[Event]:
    """Every event of the namespace, in order."""
    after = "0-0"
    while events := store.events(after, most=5000):
        yield from events
        after = events[-1].id


def loads(store: ClusterStore, needs: Mapping[str, int]) -> Iterator[dict[str, dict[str, int]]]:
    """After each change, node → the bugs that it held then, with the agents that each needs."""
    held: dict[str, dict[str, int]] = {}
    for event in whole_log(store):
        if event.action == "node_registered":
            held[event.node] = {}
        elif event.action in ("bug_assigned", "bug_reserved"):
            holders = [name for name, bugs in held.items() if event.bug in bugs]
            assert not holders, f"{event.bug} was assigned to {event.node} while {holders} held it"
            held[event.node][event.bug] = needs[event.bug]
        elif event.action in OFF and event.node in held:
            held[event.node].pop(event.bug, None)
        else:
            continue
        yield held
