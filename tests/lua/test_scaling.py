"""What the store keeps of scaling: launches, boots, troubles, decisions, and who may write them."""

import pytest

from fixwurx_celery.domain.nodes import LaunchStage
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.scaling_state import SCALE, ScalingState, TermOver
from tests.support.clock import Clock
from tests.support.cluster import bug, finish, node, running

HERE = {"profile": "9|", "scope": "here"}


@pytest.fixture
def state(store: ClusterStore) -> ScalingState:
    return ScalingState(store)


def claim(store: ClusterStore, clock: Clock, holder: str = "me") -> int:
    clock.advance(s=60)
    term = store.claim_tick(SCALE, holder, 30_000)
    assert term is not None
    return term


def test_a_launch_counts_from_when_it_is_planned_and_is_measured_when_the_node_registers(
    store: ClusterStore, state: ScalingState, clock: Clock
) -> None:
    term = claim(store, clock)
    assert state.plan_launch(term, "n1", name="n1", most=2, **HERE) == "PLANNED"
    assert state.plan_launch(term, "n2", name="n2", most=2, **HERE) == "PLANNED"
    assert state.plan_launch(term, "n3", name="n3", most=2, **HERE) == "FULL"

    clock.advance(s=4)
    node(store, "n1")
    seen = state.observe(60, "c")

    assert seen.launches["n1"].stage is LaunchStage.READY
    assert seen.launches["n2"].stage is LaunchStage.STARTING
    assert seen.boots_ms == [4000]
    assert state.plan_launch(term, "n3", name="n3", most=2, **HERE) == "FULL", "still two"


def test_a_node_that_comes_back_is_not_measured_again(
    store: ClusterStore, state: ScalingState, clock: Clock
) -> None:
    term = claim(store, clock)
    state.plan_launch(term, "n1", name="n1", most=2, **HERE)
    life, _ = node(store, "n1")
    store.retire("n1", life.incarnation)
    state.move_launch(term, "n1", LaunchStage.STARTING, "it is silent")
    clock.advance(s=90)

    node(store, "n1", life="second")

    seen = state.observe(60, "c")
    assert seen.boots_ms == [0]
    assert seen.launches["n1"].stage is LaunchStage.READY


def test_whoever_holds_an_earlier_term_changes_nothing(
    store: ClusterStore, state: ScalingState, clock: Clock
) -> None:
    old = claim(store, clock, "one")
    state.plan_launch(old, "n1", name="n1", most=5, **HERE)
    claim(store, clock, "another")

    with pytest.raises(TermOver):
        state.plan_launch(old, "n2", name="n2", most=5, **HERE)
    with pytest.raises(TermOver):
        state.end_launch(old, "n1", "late")

    assert list(state.observe(60, "c").launches) == ["n1"]


def test_three_failures_in_a_row_pause_the_provider_for_ever_longer_until_a_node_registers(
    store: ClusterStore, state: ScalingState, clock: Clock
) -> None:
    pauses = []
    for number in range(5):
        term = claim(store, clock)
        state.plan_launch(term, f"n{number}", name="n", most=9, **HERE)
        state.end_launch(term, f"n{number}", "no image", is_failure=True)
        seen = state.observe(60, "c")
        pauses.append(round((seen.pause_until_ms - seen.now_ms) / 1000))
    term = claim(store, clock)
    state.plan_launch(term, "good", name="good", most=9, **HERE)

    assert pauses == [0, 0, 15, 30, 60]
    assert (seen.failures, seen.error) == (5, "no image")
    node(store, "good")
    seen = state.observe(60, "c")
    assert (seen.failures, seen.pause_until_ms) == (0, 0)


def test_what_was_needed_counts_for_the_window_and_decisions_are_kept(
    store: ClusterStore, state: ScalingState, clock: Clock
) -> None:
    for number in range(4):
        state.record_decision(
            claim(store, clock), action="out" if number == 1 else "hold", reason=f"r{number}",
            needed={"9|": number}, told={"number": number}, window_s=120,
        )  # fmt: skip

    assert state.observe(120, "c").needed == [{"9|": 1}, {"9|": 2}, {"9|": 3}]
    assert [one.reason for one in state.decisions()] == ["r3", "r2", "r1", "r0"]
    (change,) = state.decisions(changes_only=True)
    assert (change.reason, change.told) == ("r1", {"number": 1})


def test_bugs_that_wait_or_back_off_are_counted_by_class_with_how_long_such_bugs_run(
    store: ClusterStore, state: ScalingState, clock: Clock
) -> None:
    life, _ = node(store, "n0", agents=3)
    (run,) = running(store, life, bug("a"))
    store.submit([bug("b"), bug("c"), bug("d", agents=1, requires=["gpu"])])
    clock.advance(s=8)
    finish(store, run)

    seen = state.observe(60, "c")

    assert seen.waiting == {"3|": 1, "1|gpu": 1}
    assert seen.run_ms == {"3|": 8000}


def test_a_node_is_idle_since_its_last_bug_went(
    store: ClusterStore, state: ScalingState, clock: Clock
) -> None:
    term = claim(store, clock)
    state.plan_launch(term, "n0", name="n0", most=2, **HERE)
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))
    assert state.observe(60, "c").candidates[0].holds == [3]
    clock.advance(s=3)
    store.heartbeat("n0", life.incarnation, {})
    finish(store, run)
    ended_ms = clock.now_ms
    clock.advance(s=3)

    (seen,) = state.observe(60, "c").candidates

    assert (seen.bugs, seen.free, seen.idle_ms) == (0, 9, ended_ms)


def test_nodes_that_serve_are_counted_and_those_on_their_way_are_told(
    store: ClusterStore, state: ScalingState, clock: Clock
) -> None:
    term = claim(store, clock)
    lives = {}
    for name in ("ready", "draining", "silent", "booting"):
        state.plan_launch(term, name, name=name, most=9, **HERE)
        if name != "booting":
            lives[name], _ = node(store, name)
    node(store, "own")
    node(store, "drained")
    store.drain("drained", 1)
    state.move_launch(term, "draining", LaunchStage.DRAINING, "")
    store.retire("silent", lives["silent"].incarnation)

    seen = state.observe(60, "c")

    assert seen.supply == {("9|", 9): 2}, "ready and own"
    assert (seen.others, [one.worker_id for one in seen.nodes]) == (1, ["draining"])
    assert [one.worker_id for one in seen.candidates] == ["ready"]
    assert seen.known == {"ready", "draining", "silent", "booting"}
    assert {name: str(one.stage) for name, one in seen.launches.items()} == {
        "ready": "READY", "draining": "DRAINING", "silent": "READY", "booting": "STARTING",
    }  # fmt: skip


def test_the_clusters_id_is_given_once(state: ScalingState) -> None:
    assert [state.observe(60, name).cluster for name in ("first", "second")] == ["first"] * 2
