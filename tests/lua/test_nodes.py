"""register, heartbeat, drain, resume, retire: a node's life."""

from collections.abc import Callable

import pytest

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.domain.nodes import WorkerState
from fixwurx_celery.errors import NodeUnknown
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from tests.support.clock import Clock
from tests.support.cluster import bug, finish, node, nodes, running, start
from tests.support.state import dump
from tests.support.waiting import wait_until

MakeStore = Callable[..., ClusterStore]


def listeners(store: ClusterStore, name: str, life: str) -> int:
    channel = f"{store.prefix}life:{name}:{life}"
    return int(store.client.pubsub_numsub(channel)[0][1])  # type: ignore[index]


def test_a_node_that_registers_is_given_what_waits(store: ClusterStore) -> None:
    store.submit([bug(f"b{i}") for i in range(4)])

    _, assigned = node(store, "n0")

    assert [a.bug_id for a in assigned] == ["b0", "b1", "b2"]
    assert dump(store)["node:n0"]["free"] == "0"
    assert store.snapshot().nodes[0].state is WorkerState.BUSY


def test_a_live_node_keeps_its_name(store: ClusterStore, clock: Clock) -> None:
    node(store, "n0", life="first")
    orders = store.listen("n0", "first")
    wait_until("the first life listens", lambda: listeners(store, "n0", "first"))
    before = dump(store)

    assert store.register("n0", "second", "9|", {}) == "first"
    assert dump(store) == before
    orders.close()


def test_a_listener_without_a_heartbeat_is_a_frozen_process_and_loses_the_name(
    store: ClusterStore, clock: Clock
) -> None:
    node(store, "n0", life="first")
    orders = store.listen("n0", "first")
    wait_until("the first life listens", lambda: listeners(store, "n0", "first"))
    clock.advance(s=11)

    assert store.register("n0", "second", "9|", {}) == []
    assert store.heartbeat("n0", "first", {}) is None
    orders.close()


def test_a_new_life_fails_the_old_one_over_at_once(store: ClusterStore) -> None:
    old, _ = node(store, "n0", agents=3, life="first")
    (run,) = running(store, old, bug("a"))

    new, (again,) = node(store, "n0", agents=3, life="second")

    assert (again.bug_id, again.epoch > run.epoch) == ("a", True)
    assert store.bug("a").losses == 1
    assert store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner) == "STALE"
    start(store, again, new, "r2")


def test_what_a_smaller_new_life_cannot_hold_goes_to_other_nodes_at_once(
    store: ClusterStore,
) -> None:
    old, _ = node(store, "n0", agents=9, life="first")
    running(store, old, bug("a"), bug("b"))
    node(store, "n1", agents=9)

    _, given = node(store, "n0", agents=3, life="second")

    assert {a.bug_id for a in given} == {"a", "b"}
    assert {a.worker_id for a in given} == {"n0", "n1"}


def test_a_node_comes_back_after_it_was_lost(store: ClusterStore, clock: Clock) -> None:
    life, _ = node(store, "n0", life="first")
    clock.advance(s=11)
    store.sweep()
    assert dump(store)["gone"] == {"n0": clock.now_ms}
    assert store.heartbeat("n0", life.incarnation, {}) is None

    node(store, "n0", agents=4, life="second")

    state = dump(store)
    assert "gone" not in state
    assert state["profiles"] == {"4|": "1"}
    assert state["node:n0"]["free"] == "4"


def test_a_heartbeat_prolongs(store: ClusterStore, clock: Clock) -> None:
    life, _ = node(store, "n0")
    clock.advance(s=9)

    told = store.heartbeat("n0", life.incarnation, {"load": 0.5})

    assert told is not None
    state = dump(store)
    assert state["nodes"] == {"n0": clock.now_ms + 10_000}
    assert state["node:n0"]["load"] == '{"load": 0.5}'


def test_a_heartbeat_hands_out_what_waits(store: ClusterStore, clock: Clock) -> None:
    """Whatever went unnoticed, a node is never idle for longer than its heartbeat."""
    life, _ = node(store, "n0", agents=3)
    (run,) = running(store, life, bug("a"))
    for _ in range(2):
        _, handed = store.fail_attempt(
            run.bug, run.node, run.incarnation, run.epoch, "attempts", "x"
        )
        if handed:
            run = start(store, handed[0], life, "again")
    clock.advance(s=2)
    # The back-off is over; a sweep puts the bug in line and hands it out.
    (given,) = store.sweep().assignments

    assert given.bug_id == "a"
    told = store.heartbeat("n0", life.incarnation, {})
    assert told is not None
    assert told.assignments == []


def test_a_heartbeat_of_another_life_is_refused(store: ClusterStore) -> None:
    node(store, "n0", life="first")
    before = dump(store)

    assert store.heartbeat("n0", "second", {}) is None
    assert store.heartbeat("n1", "first", {}) is None
    assert dump(store) == before


def test_a_draining_node_beats_on_finishes_its_bugs_and_gets_no_more(
    store: ClusterStore, clock: Clock
) -> None:
    life, _ = node(store, "n0", agents=6)
    (run,) = running(store, life, bug("a"))
    store.submit([bug("b"), bug("c")])

    assert store.drain("n0", 30) == (1, [])

    assert {bug_: store.bug(bug_).state for bug_ in "abc"} == {
        "a": BugState.RUNNING, "b": BugState.PENDING, "c": BugState.PENDING,
    }  # fmt: skip
    clock.advance(s=9)
    told = store.heartbeat("n0", life.incarnation, {})
    assert told is not None
    assert told.assignments == []
    assert finish(store, run) == []
    assert store.snapshot().nodes[0].state is WorkerState.STOPPING
    assert "shelf:6|:6" not in dump(store)


def test_what_a_draining_node_has_not_started_goes_elsewhere_in_its_old_place(
    store: ClusterStore,
) -> None:
    node(store, "n0", agents=3)
    node(store, "n1", agents=3)
    _, assigned = store.submit([bug("a"), bug("b")])
    store.submit([bug("c")])
    on = {a.bug_id: a.worker_id for a in assigned}

    _, moved = store.drain(on["a"], 30)
    other = on["b"]
    life = store.snapshot().nodes
    incarnation = next(n.incarnation for n in life if n.worker_id == other)
    assert moved == []
    epoch = next(a.epoch for a in assigned if a.bug_id == "b")
    store.start("b", other, incarnation, epoch, "r")
    following = store.finish("b", other, incarnation, epoch, "r", BugState.DONE, {})

    assert following is not None
    assert [a.bug_id for a in following] == ["a"]
    assert (store.bug("a").attempts, store.bug("a").losses) == (0, 0)


def test_a_node_that_resumes_is_given_what_waits(store: ClusterStore) -> None:
    node(store, "n0")
    store.drain("n0", 30)
    store.submit([bug("a")])

    (given,) = store.resume("n0")

    assert given.bug_id == "a"
    assert store.resume("n0") == []


def test_a_node_that_ends_gives_back_what_it_holds_uncharged(store: ClusterStore) -> None:
    life, _ = node(store, "n0")
    running(store, life, bug("a"))
    node(store, "n1")

    (moved,) = store.retire("n0", life.incarnation)

    assert (moved.worker_id, moved.bug_id) == ("n1", "a")
    record = store.bug("a")
    assert (record.attempts, record.losses) == (0, 0)
    state = dump(store)
    assert state["node:n0"]["state"] == "OFFLINE"
    assert "held:n0" not in state


def test_ending_an_earlier_life_does_not_touch_the_present_one(store: ClusterStore) -> None:
    node(store, "n0", life="first")
    node(store, "n0", life="second")
    before = dump(store)

    assert store.retire("n0", "first") is None
    assert dump(store) == before


def test_nodes_that_are_gone_or_unknown_can_be_neither_drained_nor_resumed(
    store: ClusterStore,
) -> None:
    life, _ = node(store, "n0")
    store.retire("n0", life.incarnation)

    for name in ("n0", "ghost"):
        with pytest.raises(NodeUnknown, match=name):
            store.drain(name, 30)
        with pytest.raises(NodeUnknown, match=name):
            store.resume(name)


def test_births_and_deaths_leave_no_key_behind(make_store: MakeStore, clock: Clock) -> None:
    store = make_store(keep_finished_sec=60)
    first, _ = node(store, "n0", life="l")
    (run,) = running(store, first, bug("a"))
    finish(store, run)
    store.retire("n0", "l")
    clock.advance(s=7200)
    store.sweep()
    baseline = set(dump(store)) - {"took:a (expires)"}

    for i in range(8):
        lives = nodes(store, 3, labels=[f"l{i}"])
        runs = running(store, lives[0], *[])
        store.submit([bug(f"b{i}-{j}", requires=[f"l{i}"]) for j in range(12)])
        for life in lives:
            store.retire(life.node, life.incarnation)
        for j in range(12):
            store.cancel(f"b{i}-{j}")
        assert runs == []
    clock.advance(s=7200)
    for _ in range(5):
        store.sweep()

    assert {key for key in dump(store) if not key.endswith("(expires)")} == baseline


def test_the_largest_node_can_be_filled_and_lost(store: ClusterStore, clock: Clock) -> None:
    _, none = node(store, "n0", agents=1024)
    results, assigned = store.submit([bug(f"b{i}", agents=1) for i in range(1100)])
    assert len(assigned) == 1024
    assert none == []

    running_count, moved = store.drain("n0", 30)
    assert (running_count, moved) == (0, [])
    given = store.resume("n0")
    assert len(given) == 1024
    _, to_second = node(store, "n1", agents=1024)
    assert len(to_second) == 76
    assert {r.status for r in results} == {"ASSIGNED", "PENDING"}


def test_losing_large_nodes_takes_several_sweeps_and_hands_nothing_to_those_not_yet_lost(
    store: ClusterStore, clock: Clock
) -> None:
    for name in ("n0", "n1"):
        node(store, name, agents=1024)
    store.submit([bug(f"b{i}", agents=1) for i in range(1600)])
    clock.advance(s=11)
    # Not replayed here: a sweep that is sent twice gets further.
    once = ClusterStore(
        store.client, Settings(namespace=store.prefix[1:-2]), clock_ms=store._clock_ms
    )

    sweeps = [once.sweep() for _ in range(3)]

    assert [len(sweep.gone) for sweep in sweeps] == [1, 1, 0]
    assert [sweep.assignments for sweep in sweeps] == [[], [], []]
    assert {record.losses for record in store.bugs([f"b{i}" for i in range(1600)])} == {1}
    node(store, "n2", agents=1024)
    assert dump(store)["node:n2"]["free"] == "0"
