"""Which node a bug takes: health, ejection, probes; and who must not starve."""

from collections.abc import Callable

import pytest

from fixwurx_celery.domain.bugs import Assignment, Bug
from fixwurx_celery.domain.nodes import BalancingStrategy
from fixwurx_celery.store import BugRecord, ClusterStore
from tests.support.clock import Clock
from tests.support.cluster import Life, Run, bug, fail, finish, node, nodes, running, start
from tests.support.state import dump

MakeStore = Callable[..., ClusterStore]


def beat(store: ClusterStore, *lives: Life) -> list[str]:
    """The bugs handed out by one heartbeat of each."""
    handed = []
    for life in lives:
        told = store.heartbeat(life.node, life.incarnation, {})
        assert told is not None, f"{life.node} is unknown"
        handed += [assignment.bug_id for assignment in told.assignments]
    return handed


def sicken(store: ClusterStore, life: Life, times: int = 3) -> None:
    """Lets that many processes die on the node; each of a bug that fits only there."""
    for i in range(times):
        store.submit([bug(f"killer-{life.node}-{i}", agents=1, requires=[life.node])])
        record = store.bug(f"killer-{life.node}-{i}")
        store.fail_attempt(record.id, life.node, life.incarnation, record.epoch, "attempts", "died")
        store.release(record.id)


def labelled(store: ClusterStore, count: int, agents: int = 9) -> list[Life]:
    return [node(store, f"n{i}", agents, labels=[f"n{i}"])[0] for i in range(count)]


def test_a_node_under_which_processes_die_is_left_out_then_probed_then_trusted(
    store: ClusterStore, clock: Clock
) -> None:
    lives = labelled(store, 3, agents=3)
    sicken(store, lives[0], 2)
    assert dump(store)["ejected"] == {"n0"}

    # Left out: two bugs take the two others, the third waits although n0 is free.
    results, _ = store.submit([bug("a"), bug("b"), bug("c"), bug("d")])
    assert [r.detail for r in results][2:] == ["", ""]
    sicken_again = store.snapshot().nodes
    assert min(n.health for n in sicken_again) <= 0.5
    # Probed: it is handed one bug.
    clock.advance(ms=1)
    store.client.hset(f"{store.prefix}node:n0", mapping={"health": "0.2", "probe_at": "0"})
    assert beat(store, lives[0]) == ["c"]
    # Trusted again when health has come back.
    record = store.bug("c")
    started = start(store, _assignment(record), lives[0], "probe")
    clock.advance(s=40)
    (given,) = finish(store, started)
    assert given.bug_id == "d"
    assert "ejected" not in dump(store)


def _assignment(record: BugRecord) -> Assignment:

    assert record.worker_id is not None
    return Assignment(record.worker_id, record.id, record.epoch)


def test_a_probed_node_takes_one_bug_at_a_time(store: ClusterStore, clock: Clock) -> None:
    lives = labelled(store, 2)
    sicken(store, lives[0])
    store.submit([bug("filler", agents=9, requires=["n1"])])
    results, _ = store.submit([bug("a"), bug("b")])
    assert {r.status for r in results} == {"PENDING"}
    store.client.hset(f"{store.prefix}node:n0", "probe_at", "0")

    assert beat(store, lives[0]) == ["a"]
    assert beat(store, lives[0]) == []


def test_more_than_half_of_the_nodes_are_never_left_out(store: ClusterStore) -> None:
    lives = labelled(store, 4)
    for life in lives:
        sicken(store, life)

    assert len(dump(store)["ejected"]) == 2
    results, _ = store.submit([bug(f"b{i}") for i in range(7)])
    assert [r.status for r in results] == ["ASSIGNED"] * 6 + ["PENDING"]


def test_when_healthy_nodes_go_sick_ones_serve_again(store: ClusterStore) -> None:
    lives = labelled(store, 4)
    sicken(store, lives[0])
    sicken(store, lives[1])
    assert dump(store)["ejected"] == {"n0", "n1"}
    store.submit([bug(f"b{i}") for i in range(6)])

    moved = store.retire("n2", lives[2].incarnation)
    moved += store.retire("n3", lives[3].incarnation)

    assert len(dump(store)["ejected"]) == 1
    assert len(moved) == 3
    assert {a.worker_id for a in moved} <= {"n0", "n1"}


def test_a_single_node_is_never_left_out(store: ClusterStore) -> None:
    (life,) = labelled(store, 1)
    sicken(store, life, 5)

    results, _ = store.submit([bug("a")])

    assert results[0].status == "ASSIGNED"


def test_a_node_on_which_everything_fails_fast_gets_few_bugs(
    make_store: MakeStore, clock: Clock
) -> None:
    """Otherwise the node that fails is always the one with room."""
    store = make_store(max_attempts=100, backoff_sec=0)
    good = [node(store, f"good{i}", agents=3)[0] for i in range(2)]
    bad, _ = node(store, "bad", agents=3)
    store.submit([bug(f"b{i}") for i in range(40)])
    taken = []
    after = "0-0"
    for _ in range(60):
        clock.advance(s=1)
        beat(store, *good, bad)
        for event in store.events(after):
            after = event.id
            if event.action == "bug_assigned" and event.node == "bad":
                taken.append(event)
        for name in dump(store).get("held:bad", {}):
            record = store.bug(name)
            run = start(store, _assignment(record), bad, f"{name}-{record.epoch}")
            fail(store, run)

    assert 3 <= len(taken) <= 12


def test_answers_that_are_no_fix_do_not_sicken_a_node(store: ClusterStore) -> None:
    life, _ = node(store, "n0")
    for i in range(10):
        (run,) = running(store, life, bug(f"b{i}"))
        finish(store, run)

    assert store.snapshot().nodes[0].health == 1


def test_late_heartbeats_cost_health_and_time_gives_it_back(
    store: ClusterStore, clock: Clock
) -> None:
    (life,) = nodes(store, 1)
    clock.advance(s=7)
    beat(store, life)
    assert store.snapshot().nodes[0].health == pytest.approx(0.8)
    for _ in range(24):
        clock.advance(s=1)
        beat(store, life)

    assert store.snapshot().nodes[0].health == pytest.approx(1.0, abs=1e-4)


def test_response_time_is_measured_from_assignment_to_start(
    store: ClusterStore, clock: Clock
) -> None:
    life, _ = node(store, "n0")
    for _ in range(30):
        _, (given,) = store.submit([bug("a")])
        clock.advance(ms=500)
        start(store, given, life)
        store.release("a")

    assert store.snapshot().nodes[0].response_time_ms == pytest.approx(500, rel=0.01)


def test_a_big_bug_behind_endless_small_ones_starts_within_its_age_limit(
    store: ClusterStore, clock: Clock
) -> None:
    """Small bugs of 10 s each, always more waiting; after 60 s a node drains for the big one."""
    lives = {life.node: life for life in nodes(store, 2)}
    _, given = store.submit([bug(f"small-{i}", priority=5) for i in range(200)])
    store.submit([bug("big", agents=9)])
    ends: dict[str, tuple[int, Run]] = {}
    began = clock.now_ms
    started_ms = None
    sizes = 0

    while started_ms is None and clock.now_ms - began < 200_000:
        for assignment in given:
            run = start(store, assignment, lives[assignment.worker_id], assignment.bug_id)
            # Ends are staggered, so that nine agents are never free by chance.
            sizes += 1
            ends[run.bug] = (clock.now_ms + 10_000 + 700 * (sizes % 5), run)
            if run.bug == "big":
                started_ms = clock.now_ms
        clock.advance(ms=100)
        given = []
        for name in [name for name, (at, _) in ends.items() if at <= clock.now_ms]:
            given += finish(store, ends.pop(name)[1])
        if (clock.now_ms - began) % 1000 == 0:
            for life in lives.values():
                told = store.heartbeat(life.node, life.incarnation, {})
                assert told is not None
                given += told.assignments
            for _, run in ends.values():
                store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner)

    assert started_ms is not None
    assert 60_000 <= started_ms - began <= 60_000 + 13_000 + 1000


def test_the_node_that_was_kept_serves_all_again_at_once(
    make_store: MakeStore, clock: Clock
) -> None:
    store = make_store(starve_after_sec=5)
    first, _ = node(store, "n0", agents=9, labels=["x"])
    second, _ = node(store, "n1", agents=9)
    runs = running_on(store, {"n0": first, "n1": second}, [bug(f"s{i}") for i in range(6)])
    store.submit([bug("big", agents=9)])
    clock.advance(s=6)
    kept_node = "n0"
    finish(store, next(run for run in runs if run.node == kept_node))
    assert dump(store)["starving"] == {"9|": kept_node}
    store.submit([bug("small", requires=["x"])])
    assert store.bug("small").worker_id is None

    # The other node is free first, and takes the big bug.
    given = []
    for run in runs:
        if run.node != kept_node:
            given += finish(store, run)

    assert sorted(a.bug_id for a in given) == ["big", "small"]
    assert {a.worker_id for a in given if a.bug_id == "small"} == {kept_node}
    assert "starving" not in dump(store)


def running_on(store: ClusterStore, lives: dict[str, Life], bugs: list[Bug]) -> list[Run]:
    _, assigned = store.submit(bugs)
    return [start(store, a, lives[a.worker_id], f"r-{a.bug_id}") for a in assigned]


@pytest.mark.parametrize("way", ["cancel", "release"])
def test_a_node_kept_for_a_bug_that_is_withdrawn_serves_all_again_at_once(
    make_store: MakeStore, clock: Clock, way: str
) -> None:
    store = make_store(starve_after_sec=5)
    life, _ = node(store, "n0", agents=9)
    runs = running_on(store, {"n0": life}, [bug(f"s{i}") for i in range(3)])
    store.submit([bug("big", agents=9)])
    clock.advance(s=6)
    finish(store, runs[0])
    store.submit([bug("small")])

    _, (given,) = getattr(store, way)("big")

    assert given.bug_id == "small"
    assert "starving" not in dump(store)


@pytest.mark.parametrize("way", ["lost", "retired", "drained", "sick"])
def test_a_node_kept_for_a_class_does_not_take_the_keeping_with_it(
    make_store: MakeStore, clock: Clock, way: str
) -> None:
    store = make_store(starve_after_sec=5, max_attempts=50)
    first, _ = node(store, "n0", agents=9)
    second, _ = node(store, "n1", agents=9)
    runs = running_on(store, {"n0": first, "n1": second}, [bug(f"s{i}") for i in range(6)])
    store.submit([bug("big", agents=9)])
    clock.advance(s=6)
    mine = [run for run in runs if run.node == "n0"]
    finish(store, mine[0])
    assert dump(store)["starving"] == {"9|": "n0"}

    if way == "retired":
        store.retire("n0", first.incarnation)
    elif way == "drained":
        store.drain("n0", 30)
    elif way == "lost":
        beat(store, second)
        clock.advance(s=9)
        store.sweep()
    else:
        for _ in range(3):
            fail(store, mine[1])
            record = store.bug(mine[1].bug)
            if record.worker_id != "n0":
                break
            mine[1] = start(store, _assignment(record), first, f"x{record.epoch}")
        store.client.hset(f"{store.prefix}node:n0", "health", "0.1")
        beat(store, first)

    state = dump(store)
    assert state.get("starving", {}).get("9|") != "n0"
    assert state.get("node:n0", {}).get("kept_for", "") == ""


@pytest.mark.parametrize("strategy", BalancingStrategy)
def test_the_strategy_can_be_changed_on_a_live_cluster(
    store: ClusterStore, strategy: BalancingStrategy
) -> None:
    nodes(store, 4)
    store.submit([bug(f"before{i}", agents=1) for i in range(7)])

    was = store.set_strategy(strategy)
    store.submit([bug(f"after{i}", agents=1) for i in range(9)])

    assert was is BalancingStrategy.WEIGHTED_CAPACITY
    assert store.strategy() is strategy
    held = [len(n.bugs) for n in store.snapshot().nodes]
    assert sum(held) == 16
    if strategy in (BalancingStrategy.LEAST_CONNECTIONS, BalancingStrategy.WEIGHTED_CAPACITY):
        assert held == [4, 4, 4, 4]
