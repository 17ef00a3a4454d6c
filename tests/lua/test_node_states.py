"""The diagram of nodes in docs/state-machines.md is what the store does."""

from collections.abc import Callable
from typing import Final

from fixwurx_celery.domain.bugs import Bug
from fixwurx_celery.domain.nodes import WorkerState
from fixwurx_celery.errors import NodeUnknown
from fixwurx_celery.store import ClusterStore
from tests.support.clock import Clock
from tests.support.cluster import node
from tests.support.diagrams import OUTSIDE, edges
from tests.support.replay import ReplayingStore
from tests.support.state import remove_namespace

Act = Callable[[ClusterStore, Clock], object]


def silence(store: ClusterStore, clock: Clock) -> None:
    """A minute, and another that lives: the silence is the node's and not the store's."""
    for _ in range(6):
        clock.advance(s=10)
        store.heartbeat(*OTHER, {})
        store.sweep()


def two_hours(store: ClusterStore, clock: Clock) -> None:
    """For a node that is not in service; another would be silent first."""
    if state(store) == "OFFLINE":
        clock.advance(s=2 * 3600)
        store.heartbeat(*OTHER, {})
        silence(store, clock)


OTHER: Final = ("other@h", "life")
ACTS: Final[tuple[Act, ...]] = (
    lambda store, clock: store.register("n@h", "1", "3|", {}),
    lambda store, clock: store.register("n@h", "2", "3|", {}),
    lambda store, clock: store.drain("n@h", 0),
    lambda store, clock: store.drain("n@h", 60),
    lambda store, clock: store.resume("n@h"),
    lambda store, clock: store.retire("n@h", "1"),
    lambda store, clock: store.retire("n@h", "2"),
    lambda store, clock: store.heartbeat("n@h", "1", {}),
    lambda store, clock: store.submit([Bug(id="b")]),
    silence,
    two_hours,
)


def state(store: ClusterStore) -> str:
    found = {one.worker_id: one.state for one in store.snapshot().nodes}
    shown = found.get("n@h", OUTSIDE)
    return WorkerState.READY if shown is WorkerState.BUSY else str(shown)


def test_it_shows_every_change_of_state_and_no_other(
    make_store: Callable[..., ReplayingStore], clock: Clock, namespace: str
) -> None:
    store = make_store()
    ways: dict[str, list[Act]] = {OUTSIDE: []}
    todo, seen = [OUTSIDE], set()
    while todo:
        begun = todo.pop()
        for act in ACTS:
            remove_namespace(store.client, namespace)
            node(store, OTHER[0], 3, (), OTHER[1])
            for step in ways[begun]:
                step(store, clock)
            assert state(store) == begun
            try:
                act(store, clock)
            except NodeUnknown:
                continue
            became = state(store)
            seen.add((begun, became))
            if became not in ways:
                ways[became] = [*ways[begun], act]
                todo.append(became)

    assert {(a, b) for a, b in seen if a != b} == edges("state-machines.md", "Node")
