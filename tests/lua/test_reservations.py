"""reserve, renew: agents for a bug that the caller runs itself."""

from collections.abc import Callable

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.store import ClusterStore
from tests.support.clock import Clock
from tests.support.cluster import bug, node
from tests.support.state import dump

MakeStore = Callable[..., ClusterStore]


def test_agents_are_reserved_by_name_and_freed_by_name(store: ClusterStore) -> None:
    node(store, "n0")
    empty = dump(store)["node:n0"]["free"]

    assert store.reserve("a", "3|", "me") == ("RESERVED", "n0")
    assert dump(store)["held:n0"] == {"a": "3"}
    assert store.release("a") == ("RELEASED", [])

    state = dump(store)
    assert state["node:n0"]["free"] == empty
    assert {"bug:a", "held:n0", "leases", "outbox"}.isdisjoint(state)


def test_reserving_again_answers_the_same_reservation(store: ClusterStore, clock: Clock) -> None:
    node(store, "n0")
    store.reserve("a", "3|", "me")
    epoch = store.bug("a").epoch
    clock.advance(s=5)

    assert store.reserve("a", "3|", "me") == ("RESERVED", "n0")
    assert store.bug("a").epoch == epoch


def test_what_another_holds_is_not_reserved(store: ClusterStore) -> None:
    node(store, "n0")
    store.reserve("a", "3|", "somebody")
    store.submit([bug("b")])

    assert store.reserve("a", "3|", "me") == ("HELD", "RESERVED")
    assert store.reserve("b", "3|", "me") == ("HELD", "ASSIGNED")


def test_a_reservation_is_refused_rather_than_waited_for(store: ClusterStore) -> None:
    node(store, "n0", agents=2)
    before = dump(store)

    assert store.reserve("a", "3|", "me") == ("NO_ROOM", "")
    assert store.reserve("a", "1|gpu", "me") == ("NO_ROOM", "")
    assert dump(store) == before


def test_a_reservation_that_is_not_renewed_is_freed_for_those_who_wait(
    store: ClusterStore, clock: Clock
) -> None:
    life, _ = node(store, "n0", agents=3)
    store.reserve("a", "3|", "me")
    store.submit([bug("b")])
    clock.advance(s=14)
    store.heartbeat("n0", life.incarnation, {})
    assert store.renew(["a"], "me") == []
    clock.advance(s=14)
    store.heartbeat("n0", life.incarnation, {})
    assert store.sweep().assignments == []
    clock.advance(s=2)

    (handed,) = store.sweep().assignments

    assert handed.bug_id == "b"
    assert store.renew(["a", "never"], "me") == ["a", "never"]


def test_the_holder_learns_that_the_node_was_lost(store: ClusterStore, clock: Clock) -> None:
    node(store, "n0")
    store.reserve("a", "3|", "me")
    clock.advance(s=11)

    assert store.sweep().gone == ["n0"]

    assert store.renew(["a"], "me") == ["a"]
    assert "bug:a" not in dump(store)


def test_only_the_holder_renews(store: ClusterStore, clock: Clock) -> None:
    node(store, "n0")
    store.reserve("a", "3|", "me")
    leases = dump(store)["leases"]
    clock.advance(s=5)

    assert store.renew(["a"], "somebody") == ["a"]
    assert dump(store)["leases"] == leases
    assert store.renew([], "me") == []


def test_any_number_of_reservations_can_be_renewed_at_once(store: ClusterStore) -> None:
    ids = [f"b{i}" for i in range(20_000)]

    assert store.renew(ids, "me") == ids


def test_a_reservation_is_cancelled_and_cannot_be_started_or_retried(store: ClusterStore) -> None:
    life, _ = node(store, "n0")
    store.reserve("a", "3|", "me")
    epoch = store.bug("a").epoch

    assert store.start("a", "n0", life.incarnation, epoch, "me") == "STALE"
    assert store.fail_attempt("a", "n0", life.incarnation, epoch, "", "x") == ("STALE", [])
    assert store.retry("a") == ("RESERVED", [])
    assert store.bug("a").state is BugState.RESERVED
    assert store.cancel("a") == ("RELEASED", [])
    assert "bug:a" not in dump(store)


def test_reservations_stay_on_a_draining_node_and_go_when_it_ends(store: ClusterStore) -> None:
    life, _ = node(store, "n0")
    store.reserve("a", "3|", "me")

    assert store.drain("n0", 30) == (1, [])
    assert store.bug("a").state is BugState.RESERVED
    store.retire("n0", life.incarnation)

    assert store.renew(["a"], "me") == ["a"]
