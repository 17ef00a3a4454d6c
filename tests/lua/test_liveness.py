"""Who is taken for lost: by a dropped connection, by silence; and when silence says nothing."""

from collections.abc import Callable

import pytest

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.store import ClusterStore
from tests.support.clock import Clock
from tests.support.cluster import Life, bug, node, pass_time, running, start
from tests.support.state import dump
from tests.support.waiting import wait_until

GRACE_MS = 200

HangUp = Callable[[], None]


@pytest.fixture
def listen(store: ClusterStore) -> Callable[[Life], HangUp]:
    """Has a node listen on its life's channel; answers how it hangs up."""

    def count(life: Life) -> int:
        channel = f"{store.prefix}life:{life.node}:{life.incarnation}"
        return int(store.client.pubsub_numsub(channel)[0][1])

    def begin(life: Life) -> HangUp:
        listening = store.listen(life.node, life.incarnation)
        wait_until(f"{life.node} is heard", lambda: count(life) == 1)

        def hang_up() -> None:
            listening.close()
            wait_until(f"{life.node} has hung up", lambda: count(life) == 0)

        return hang_up

    return begin


def beat(store: ClusterStore, *lives: Life) -> None:
    for life in lives:
        assert store.heartbeat(life.node, life.incarnation, {}) is not None


def test_a_node_whose_connection_dropped_is_lost_after_a_fifth_of_a_second(
    store: ClusterStore, clock: Clock, listen: Callable[[Life], HangUp]
) -> None:
    doomed, other = node(store, "n0", agents=3)[0], node(store, "n1", agents=3)[0]
    hang_up, _still_there = listen(doomed), listen(other)
    beat(store, doomed, other)
    running(store, doomed, bug("a"))

    hang_up()

    assert store.sweep().gone == []
    clock.advance(ms=GRACE_MS - 1)
    assert store.sweep().gone == []
    clock.advance(ms=1)
    assert store.sweep().gone == ["n0"]
    record = store.bug("a")
    assert (record.state, record.worker_id, record.losses) == (BugState.ASSIGNED, "n1", 1)
    assert record.history[0]["reason"] == "its connection dropped"
    assert not dump(store).keys() & {"unheard"}
    assert dump(store)["heard"] == {"n1": other.incarnation}


def test_a_node_that_is_back_in_time_is_not_lost(
    store: ClusterStore, clock: Clock, listen: Callable[[Life], HangUp]
) -> None:
    life, _ = node(store, "n0")
    hang_up = listen(life)
    beat(store, life)
    for _ in range(5):
        hang_up()
        store.sweep()
        clock.advance(ms=GRACE_MS - 10)
        hang_up = listen(life)
        assert store.sweep().gone == []

    clock.advance(ms=GRACE_MS)
    assert store.sweep().gone == []


@pytest.mark.parametrize("sign", ["heartbeat", "sweep"])
def test_a_node_that_calls_lives_although_nobody_listens(
    sign: str, store: ClusterStore, clock: Clock, listen: Callable[[Life], HangUp]
) -> None:
    life, _ = node(store, "n0")
    hang_up = listen(life)
    beat(store, life)
    hang_up()

    for _ in range(4):
        clock.advance(ms=GRACE_MS - 50)
        if sign == "heartbeat":
            beat(store, life)
        gone = store.sweep(node="n0", incarnation=life.incarnation if sign == "sweep" else "").gone
        assert gone == []


def test_a_node_that_never_listened_is_lost_by_its_silence_only(
    store: ClusterStore, clock: Clock
) -> None:
    node(store, "n0")

    assert pass_time(store, clock, 9.9) == []
    assert pass_time(store, clock, 0.1) == ["n0"]


def test_silence_while_nobody_listened_is_forgiven_once(store: ClusterStore, clock: Clock) -> None:
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))
    store.sweep()
    clock.advance(s=60)  # the server stood still: nobody called

    assert store.sweep().gone == []
    assert store.bug("a").state is BugState.RUNNING
    assert store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner) == "CONTINUE", (
        "its lease is forgiven too"
    )
    assert pass_time(store, clock, 9.9) == []
    assert pass_time(store, clock, 0.1) == ["n0"]


@pytest.mark.parametrize("who_comes_first", ["the node", "a sweep"])
def test_an_outage_of_the_server_makes_no_node_sick(
    store: ClusterStore, clock: Clock, who_comes_first: str
) -> None:
    life, _ = node(store, "n0")
    store.sweep()
    clock.advance(s=60)
    if who_comes_first == "a sweep":
        store.sweep()

    beat(store, life)

    assert store.snapshot().nodes[0].health == 1.0


def test_after_an_outage_a_node_has_its_whole_time_to_start_what_it_was_given(
    store: ClusterStore, clock: Clock
) -> None:
    life, _ = node(store, "n0")
    _, (assigned,) = store.submit([bug("a")])
    store.sweep()
    clock.advance(s=60)

    (again,) = store.sweep().assignments
    assert again == assigned, "it is rung, not taken back"
    pass_time(store, clock, 2)
    start(store, again, life)

    seen = store.snapshot().nodes[0]
    assert (seen.health, seen.response_time_ms) == (1.0, 400.0), "a fifth of the two seconds"


def test_a_heartbeat_that_is_late_while_others_are_heard_makes_a_node_sick(
    store: ClusterStore, clock: Clock
) -> None:
    life, _ = node(store, "n0")
    store.sweep()
    clock.advance(s=60)
    store.sweep()  # forgives, once
    assert pass_time(store, clock, 7) == []

    beat(store, life)

    assert store.snapshot().nodes[0].health < 0.9


def test_another_server_has_heard_nobody_yet_and_rings_all_again(
    store: ClusterStore, clock: Clock, listen: Callable[[Life], HangUp]
) -> None:
    life, _ = node(store, "n0", agents=3)
    hang_up = listen(life)
    beat(store, life)
    _, (assigned,) = store.submit([bug("a")])
    store.sweep()
    hang_up()
    store.client.hset(f"{store.prefix}server", "run_id", "another")  # as after a restart

    again = store.sweep()

    assert [a.epoch for a in again.assignments] == [assigned.epoch]
    clock.advance(ms=2 * GRACE_MS)
    assert store.sweep().gone == []
    assert "heard" not in dump(store)


# -- drains ----------------------------------------------------------------------------------


def test_what_runs_on_a_draining_node_moves_when_its_grace_is_over(
    store: ClusterStore, clock: Clock
) -> None:
    life, _ = node(store, "n0", agents=3)
    (run,) = running(store, life, bug("a"))
    store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner, checkpoint="[1]")
    assert store.drain("n0", 5) == (1, [])
    other, _ = node(store, "n1", agents=3)

    clock.advance(ms=4999)
    assert store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner) == "CONTINUE"
    clock.advance(ms=1)
    assert store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner) == "MOVED"
    clock.advance(ms=4999)
    beat(store, life, other)
    assert store.sweep().assignments == [], "its runner may still give it back"
    clock.advance(ms=1)
    (moved,) = store.sweep().assignments

    assert (moved.worker_id, moved.bug_id) == ("n1", "a")
    record = store.bug("a")
    assert (record.attempts, record.losses) == (0, 0)
    assert store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner) == "STALE"
    assert dump(store)["bug:a"]["checkpoint"] == "[1]"
    assert store.sweep().assignments == []
    assert dump(store)["draining"]["n0"] > clock.now_ms + 10**11, "nothing of it is due any more"


def test_a_second_drain_only_shortens_the_grace(store: ClusterStore, clock: Clock) -> None:
    life, _ = node(store, "n0", agents=3)
    running(store, life, bug("a"))
    store.drain("n0", 10)
    store.drain("n0", 60)
    assert dump(store)["draining"] == {"n0": clock.now_ms + 10_000 + 5000}

    store.drain("n0", 0)
    clock.advance(s=5)
    beat(store, life)
    store.sweep()

    assert store.bug("a").state is BugState.PENDING


def test_a_node_that_serves_again_keeps_what_it_runs(store: ClusterStore, clock: Clock) -> None:
    life, _ = node(store, "n0", agents=3)
    running(store, life, bug("a"))
    store.drain("n0", 5)
    store.resume("n0")

    clock.advance(s=9)
    beat(store, life)
    clock.advance(s=2)
    beat(store, life)
    store.sweep()

    assert store.bug("a").state is BugState.RUNNING


# -- queues ----------------------------------------------------------------------------------


def test_the_queue_of_a_lost_node_is_asked_to_be_deleted_until_it_is(
    store: ClusterStore, clock: Clock
) -> None:
    life, _ = node(store, "n0")
    store.retire("n0", life.incarnation)

    assert store.sweep().queues == ["n0"]
    assert store.sweep().queues == [], "somebody is at it"
    clock.advance(s=5)
    assert store.sweep().queues == ["n0"], "and was killed before it was done"
    store.forget_queue("n0")
    clock.advance(s=5)
    assert store.sweep().queues == []
    clock.advance(s=20)
    assert store.sweep().queues == ["n0"], "its own end may have put messages back"
    store.forget_queue("n0")
    clock.advance(s=60)
    assert store.sweep().queues == []


def test_the_queue_of_a_node_that_never_registered_is_deleted(
    store: ClusterStore, clock: Clock
) -> None:
    store.expect_node("n0")

    clock.advance(s=59)
    assert store.sweep().queues == [], "it may still boot"
    clock.advance(s=1)
    assert store.sweep().queues == ["n0"]
    store.forget_queue("n0")
    clock.advance(s=60)
    assert store.sweep().queues == []


def test_the_queue_of_a_node_that_came_is_its_own(store: ClusterStore, clock: Clock) -> None:
    store.expect_node("n0")
    life, _ = node(store, "n0")
    store.expect_node("n0")  # a second one of that name, which will be refused

    clock.advance(s=60)
    store.heartbeat("n0", life.incarnation, {})
    assert store.sweep().queues == []


def test_the_queue_of_a_node_that_is_back_is_its_own(store: ClusterStore) -> None:
    life, _ = node(store, "n0")
    store.retire("n0", life.incarnation)
    node(store, "n0")

    assert store.sweep().queues == []


def test_whoever_cannot_ring_leaves_the_bells_to_the_next_who_sweeps(
    store: ClusterStore, clock: Clock
) -> None:
    lost, _ = node(store, "n0")
    store.submit([bug("a")])
    other, _ = node(store, "n1")
    store.sweep()
    clock.advance(s=6)  # its bell is due again
    beat(store, lost, other)
    assert store.sweep(can_ring=False).assignments == []
    (again,) = store.sweep().assignments
    assert (again.worker_id, again.bug_id) == ("n0", "a")

    gone: list[str] = []
    while not gone:
        clock.advance(s=2)
        beat(store, other)
        swept = store.sweep(can_ring=False)
        gone = swept.gone
        assert swept.assignments == []
        assert clock.now_ms < 1_700_000_060_000, "it is lost in time"
    (moved,) = store.sweep().assignments
    assert (moved.worker_id, moved.bug_id) == ("n1", "a"), "at once, and not when it is due again"
