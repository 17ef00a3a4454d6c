"""What monitoring reads: sums over all nodes, some nodes one by one, and tallies that only rise."""

import re
from pathlib import Path

import pytest

from fixwurx_celery.domain.bugs import BugState, Outcome, verdict
from fixwurx_celery.domain.nodes import WorkerState
from fixwurx_celery.store import ClusterStore, scripts
from fixwurx_celery.store.measurement import SCALE_MS
from fixwurx_celery.store.scaling_state import ScalingState
from tests.support.clock import Clock
from tests.support.cluster import bug, fail, finish, node, nodes, pass_time, running, start
from tests.support.replay import ReplayingStore
from tests.support.state import dump

LUA = Path(scripts.__file__).parent / "lua"


def tallied(store: ClusterStore, *begin: str) -> dict[str, int]:
    """The tallies whose names begin so."""
    return {
        what: count for what, count in store.measure(0).tallied.items() if what.startswith(begin)
    }


def test_sums_are_of_all_nodes_and_single_nodes_only_as_many_as_asked_for(
    store: ClusterStore,
) -> None:
    nodes(store, 4, agents=3)
    node(store, "a-big-one", agents=9)
    store.submit([bug(f"b{i}") for i in range(3)])

    measured = store.measure(2)

    assert (measured.agents, measured.free, measured.live_nodes) == (21, 12, 5)
    assert [one.worker_id for one in measured.nodes] == ["a-big-one", "n0"]
    assert store.measure(2).nodes == measured.nodes


def test_nodes_that_stand_on_no_shelf_are_counted_where_they_belong(
    store: ClusterStore, clock: Clock
) -> None:
    kept, _ = node(store, "kept")
    running(store, kept, bug("small"))
    store.submit([bug("starves", agents=9)])
    clock.advance(s=61)
    store.heartbeat(kept.node, kept.incarnation, {})
    full, _ = node(store, "full", agents=3)
    running(store, full, bug("fills-it"))
    draining, sick, _ = nodes(store, 3, agents=8)
    store.drain(draining.node, 60)
    record = f"{store.prefix}node:{sick.node}"
    store.client.hset(
        record,
        mapping={"health": "0.1", "health_at": clock.now_ms, "probe_at": clock.now_ms + 9999},
    )
    store.heartbeat(sick.node, sick.incarnation, {})
    found, shown = dump(store), store.snapshot()
    assert [len(found[index]) for index in ("starving", "draining", "ejected")] == [1, 1, 1]

    measured = store.measure(10)

    assert (measured.agents, measured.free) == (36, 30)
    assert (shown.total_agents, shown.free_agents) == (36, 30)
    assert measured.states == {WorkerState.READY: 3, WorkerState.BUSY: 1, WorkerState.STOPPING: 1}
    assert measured.ejected == 1


def test_the_bug_that_waits_longest_is_found_behind_those_of_higher_priority(
    store: ClusterStore, clock: Clock
) -> None:
    store.submit([bug("patient", priority=-5)])
    clock.advance(s=50)
    store.submit([bug("urgent", priority=9), bug("usual")])
    clock.advance(s=10)

    (line,) = store.measure(0).lines

    assert (line.bug_class, line.waiting, line.oldest_ms) == ("3|", 3, 60_000)


def test_the_node_heard_longest_ago_tells_how_long_it_has_been_silent(
    store: ClusterStore, clock: Clock
) -> None:
    first, second = nodes(store, 2)
    clock.advance(s=4)
    store.heartbeat(second.node, second.incarnation, {})

    measured = store.measure(10)

    assert measured.silent_ms == 4000
    assert {one.worker_id: one.silent_ms for one in measured.nodes} == {
        first.node: 4000,
        second.node: 0,
    }


def test_an_empty_store_is_measured_too(store: ClusterStore) -> None:
    measured = store.measure(10)

    assert (measured.agents, measured.open_bugs, measured.live_nodes) == (0, 0, 0)
    assert (measured.silent_ms, measured.scaling, measured.scaling_tick_age_ms) == (
        None,
        None,
        None,
    )
    assert measured.duration("wait").counts == [0] * (len(SCALE_MS) + 1)


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        *(({"outcome": str(one)}, str(one)) for one in Outcome),
        ({"outcome": "of my own"}, "OTHER"),
        ({"outcome": ["FIXED"]}, "OTHER"),
        ("a text", "OTHER"),
        (None, "OTHER"),
    ],
)
def test_ends_are_tallied_by_few_words_whatever_an_engine_answers(
    store: ClusterStore, outcome: object, word: str
) -> None:
    (run,) = running(store, node(store, "n0")[0], bug("a"))

    store.finish(run.bug, run.node, run.incarnation, run.epoch, run.runner, BugState.DONE, outcome)

    assert verdict(outcome) == word
    assert tallied(store, "ended:") == {f"ended:DONE:{word}": 1}


def test_tallies_of_ends_do_not_fall_when_bugs_are_retried_or_expire(
    make_store: object, clock: Clock
) -> None:
    store: ClusterStore = make_store(keep_finished_sec=10)  # type: ignore[operator]
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))
    finish(store, run)
    _, (again,) = store.retry("a")
    finish(store, start(store, again, life, "r2"))
    clock.advance(s=11)
    store.sweep()

    assert store.measure(0).kept == 0
    assert tallied(store, "ended:") == {"ended:DONE:FIXED": 2}


def test_durations_are_counted_in_the_first_bucket_that_holds_them(
    store: ClusterStore, clock: Clock
) -> None:
    life, _ = node(store, "n0", agents=3)
    (first,) = running(store, life, bug("a"))
    store.submit([bug("b")])
    clock.advance(ms=1000)
    (second,) = finish(store, first)
    clock.advance(ms=251)
    start(store, second, life, "r2")

    measured = store.measure(0)

    def counted(what: str) -> dict[object, int]:
        bounds = [*SCALE_MS, "more"]
        pairs = zip(bounds, measured.duration(what).counts, strict=True)
        return {bound: count for bound, count in pairs if count}

    assert counted("run") == {1000: 1}
    assert counted("answer") == {5: 1, 500: 1}
    assert counted("wait") == {5: 1, 2500: 1}
    assert measured.duration("wait").sum_ms == 1251


def test_what_lasts_longer_than_every_bucket_is_counted_beyond_them(
    store: ClusterStore, clock: Clock
) -> None:
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))
    clock.advance(s=SCALE_MS[-1] // 1000 + 1)

    finish(store, run)

    assert store.measure(0).duration("run").counts[-1] == 1


def test_the_scale_of_the_scripts_is_that_of_the_readers() -> None:
    code = (LUA / "lib" / "2_clocks.lua").read_text("utf-8")
    found = re.search(r"SCALE_MS = \{(.*?)\}", code, re.DOTALL)

    assert found
    assert tuple(map(int, re.findall(r"\d+", found.group(1)))) == SCALE_MS


def test_bugs_given_back_are_tallied_by_what_pays(store: ClusterStore, clock: Clock) -> None:
    life, _ = node(store, "n0")
    (killed, moved) = running(store, life, bug("killed"), bug("moved"))
    fail(store, killed, "attempts")
    fail(store, moved, "")
    node(store, "n1")
    pass_time(store, clock, 11)  # both nodes are silent

    assert tallied(store, "given_back:", "node_gone:") == {
        "given_back:attempts": 1,
        "given_back:none": 1,
        "given_back:losses": 2,
        "node_gone:lost": 2,
    }


def test_a_node_that_ends_is_not_tallied_as_lost(store: ClusterStore) -> None:
    life, _ = node(store, "n0")

    store.retire(life.node, life.incarnation)

    assert tallied(store, "node_gone:") == {"node_gone:ended": 1}


def test_refusals_are_tallied_each_time(store: ReplayingStore) -> None:
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))
    finish(store, run)

    store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner)
    store.submit([bug("too-large", agents=99)])

    # Every call of this folder is sent twice, and refused twice.
    assert tallied(store, "stale:", "refused:") == {"stale:report": 2, "refused:UNSATISFIABLE": 2}


def test_decisions_are_tallied_by_action_and_the_last_one_is_told(
    store: ClusterStore, clock: Clock
) -> None:
    state = ScalingState(store)
    policy = {"min_workers": 1, "max_workers": 5}
    for action, wanted in (("out", 2), ("hold", 3)):
        term = store.claim_tick("scale", "me", 1000)
        assert term
        state.record_decision(
            term, action=action, reason="", needed={}, window_s=60,
            told={"wanted": wanted, "interval_s": 30.0, "policy": policy},
        )  # fmt: skip
        clock.advance(s=5)

    measured = store.measure(0)

    assert measured.scaling == (3, 1, 5, 30.0)
    assert measured.scaling_tick_age_ms == 5000
    assert tallied(store, "decision:") == {"decision:out": 1, "decision:hold": 1}


def test_a_tally_that_cannot_be_written_stands_in_nobodys_way(live_store: ClusterStore) -> None:
    store = live_store
    store.client.set(f"{store.prefix}tally", "somebody else's")
    (run,) = running(store, node(store, "n0")[0], bug("a"))
    assert finish(store, run) == []

    assert store.bug("a").state is BugState.DONE
    assert dump(store)["tally"] == "somebody else's"
