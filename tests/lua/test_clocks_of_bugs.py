"""What the time of a bug is spent on, and the end of one that waits for longer than it may."""

import time
from collections.abc import Callable

import pytest

from fixwurx_celery.domain.bugs import Bug, BugState
from fixwurx_celery.domain.clocks import BugClock, Phase, clock_of
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.invariants import violations
from tests.support.clock import Clock
from tests.support.cluster import Life, Run, bug, fail, finish, node, running, start
from tests.support.state import dump

MakeStore = Callable[..., ClusterStore]


def report(store: ClusterStore, run: Run, phase: str = "", log: str = "") -> str:
    return store.report(
        run.bug, run.node, run.incarnation, run.epoch, run.runner, phase=phase, log=log
    )


def seconds(store: ClusterStore, clock: Clock, bug_id: str = "a") -> tuple[float, ...]:
    """Waiting, set-up, run, verify, as they are shown now."""
    return tuple(ms / 1000 for ms in store.bug(bug_id).clocks(clock.now_ms).values())


def impatient(name: str, waiting: float = 30, **given: object) -> Bug:
    return bug(name, limits={"waiting": waiting}, **given)


def beat(store: ClusterStore, *lives: Life) -> None:
    for life in lives:
        store.heartbeat(life.node, life.incarnation, {})


# -- the clocks ------------------------------------------------------------------------------


def test_each_stay_is_counted_by_the_clock_of_its_phase(store: ClusterStore, clock: Clock) -> None:
    store.submit([bug("a")])
    clock.advance(s=3)
    life, (assigned,) = node(store, "n0")
    clock.advance(s=1)
    run = start(store, assigned, life)
    for stay_s, phase in ((2, "REPRO"), (4, "ANALYZE"), (1, "VERIFY"), (5, "ANALYZE")):
        clock.advance(s=stay_s)
        report(store, run, phase)
    clock.advance(s=1)
    finish(store, run)
    clock.advance(s=60)

    assert seconds(store, clock) == (4, 2, 6, 5)


def test_what_is_shown_has_the_present_stay_in_it(store: ClusterStore, clock: Clock) -> None:
    store.submit([bug("a")])
    clock.advance(s=2)
    in_line = seconds(store, clock)
    life, (assigned,) = node(store, "n0")
    clock.advance(s=2)
    on_its_way = seconds(store, clock)
    run = start(store, assigned, life)
    clock.advance(s=7)
    in_triage = seconds(store, clock)
    report(store, run, "VERIFY")
    clock.advance(s=1)

    assert (in_line, on_its_way) == ((2, 0, 0, 0), (4, 0, 0, 0))
    assert in_triage == (4, 7, 0, 0)
    assert seconds(store, clock) == (4, 7, 0, 1)


@pytest.mark.parametrize("phase", [*Phase, "RUN", "of my own"])
def test_the_store_counts_a_phase_as_the_runner_does(
    store: ClusterStore, clock: Clock, phase: str
) -> None:
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))
    report(store, run, phase)
    clock.advance(s=5)

    finish(store, run)

    assert store.bug("a").counted == dict.fromkeys(BugClock, 0) | {clock_of(phase): 5000}


def test_reports_that_change_no_clock_write_none(store: ClusterStore, clock: Clock) -> None:
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))
    report(store, run, "REPRO")
    before = dump(store)["bug:a"]
    clock.advance(s=1)

    report(store, run, "PATCH")

    assert dump(store)["bug:a"] == before | {"phase": "PATCH"}


def test_the_clocks_of_a_bug_that_runs_again_go_on(store: ClusterStore, clock: Clock) -> None:
    life, _ = node(store, "n0", agents=3)
    (run,) = running(store, life, bug("a"))
    clock.advance(s=2)
    report(store, run, "REPRO")
    clock.advance(s=3)

    _, (again,) = fail(store, run)
    clock.advance(s=1)
    second = start(store, again, life, "r2")
    clock.advance(s=4)
    finish(store, second)

    assert seconds(store, clock) == (1, 6, 3, 0)


def test_an_assigned_bug_that_its_node_gives_back_has_waited_all_the_time(
    store: ClusterStore, clock: Clock
) -> None:
    node(store, "n0")
    store.submit([bug("a")])
    clock.advance(s=2)
    store.drain("n0", 30)
    clock.advance(s=3)

    assert seconds(store, clock) == (5, 0, 0, 0)


@pytest.mark.parametrize("ended_as", [BugState.DONE, BugState.ESCALATED, BugState.CANCELLED])
def test_a_retried_bug_begins_with_clocks_at_nothing(
    store: ClusterStore, clock: Clock, ended_as: BugState
) -> None:
    life, _ = node(store, "n0", agents=3)
    (run,) = running(store, life, bug("a"))
    clock.advance(s=2)
    report(store, run, "VERIFY", log="x")
    clock.advance(s=2)
    finish(store, run, ended_as)
    store.drain("n0", 30)

    store.retry("a")
    clock.advance(s=1)

    record = store.bug("a")
    assert seconds(store, clock) == (1, 0, 0, 0)
    assert (record.started_ms, record.printed_ms) == (None, None)


def test_a_clock_that_was_set_back_counts_nothing(store: ClusterStore, clock: Clock) -> None:
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))
    clock.advance(s=-60)
    shown = seconds(store, clock)
    report(store, run, "REPRO")
    clock.advance(s=2)
    finish(store, run)

    assert shown == (0, 0, 0, 0)
    assert seconds(store, clock) == (0, 0, 2, 0)


def test_the_last_output_is_that_of_the_run_under_way(store: ClusterStore, clock: Clock) -> None:
    life, _ = node(store, "n0", agents=3)
    (run,) = running(store, life, bug("a"))
    clock.advance(s=1)
    report(store, run, log="words")
    clock.advance(s=5)
    report(store, run, "REPRO")
    quiet_ms = store.bug("a").silent_ms(clock.now_ms)
    _, (again,) = fail(store, run)
    start(store, again, life, "r2")
    clock.advance(s=2)

    assert quiet_ms == 5000
    assert store.bug("a").silent_ms(clock.now_ms) == 2000


def test_how_far_bugs_are_is_told_of_those_that_run(live_store: ClusterStore) -> None:
    life, _ = node(live_store, "n0", agents=9)
    _, loud, done = running(live_store, life, bug("quiet"), bug("loud"), bug("done"))
    time.sleep(0.03)
    report(live_store, loud, "VERIFY", log="words")
    finish(live_store, done)

    told = live_store.running(["loud", "done", "ghost", "quiet"])

    assert [one[:4] for one in told] == [
        ("loud", "n0", "VERIFY", 1),
        ("quiet", "n0", "TRIAGE", 1),
    ]
    assert told[0].ran_ms >= 30
    assert told[0].ran_ms > max(told[0].clock_ms, told[0].silent_ms)
    assert told[1].ran_ms == told[1].clock_ms == told[1].silent_ms


# -- the waiting limit -----------------------------------------------------------------------


def test_a_bug_that_waits_past_its_limit_is_timed_out_and_no_sooner(
    store: ClusterStore, clock: Clock
) -> None:
    store.submit([impatient("a"), bug("b")])
    clock.advance(ms=29_999)
    store.sweep()
    before = store.bug("a").state
    clock.advance(ms=1)

    store.sweep()

    record = store.bug("a")
    assert (before, record.state) == (BugState.PENDING, BugState.ESCALATED)
    assert record.outcome == {
        "outcome": "TIMED_OUT",
        "reason": "its waiting limit of 30 s passed before a node started it",
        "clock": "waiting",
    }
    assert seconds(store, clock) == (30, 0, 0, 0)
    assert (record.runs, record.started_ms) == (0, None)
    assert store.bug("b").state is BugState.PENDING
    assert "patience" not in dump(store)


def test_a_bug_that_backs_off_waits_too(store: ClusterStore, clock: Clock) -> None:
    life, _ = node(store, "n0", agents=3)
    (run,) = running(store, life, impatient("a", waiting=0.5))
    _, (again,) = fail(store, run)
    fail(store, start(store, again, life))
    assert "a" in dump(store)["delayed"]
    clock.advance(ms=500)

    store.sweep()

    assert store.bug("a").state is BugState.ESCALATED
    assert "delayed" not in dump(store)
    assert violations(store) == []


def test_a_bug_whose_node_does_not_start_it_waits_too_and_hands_its_agents_on(
    store: ClusterStore, clock: Clock
) -> None:
    life, _ = node(store, "n0", agents=3)
    _, (assigned,) = store.submit([impatient("a", waiting=4), bug("b")])
    clock.advance(s=4)
    beat(store, life)

    (handed,) = store.sweep().assignments

    assert store.bug("a").state is BugState.ESCALATED
    assert handed.bug_id == "b"
    assert store.start("a", "n0", life.incarnation, assigned.epoch, "late") == "STALE"
    assert violations(store) == []


def test_the_limit_is_on_all_stays_together(store: ClusterStore, clock: Clock) -> None:
    store.submit([impatient("a")])
    clock.advance(s=20)
    life, (assigned,) = node(store, "n0", agents=3)
    run = start(store, assigned, life)
    clock.advance(s=9)
    store.drain("n0", 30)
    fail(store, run, charge="")
    clock.advance(s=9)
    beat(store, life)
    store.sweep()
    before = store.bug("a").state
    clock.advance(s=1)

    store.sweep()

    assert (before, store.bug("a").state) == (BugState.PENDING, BugState.ESCALATED)
    assert seconds(store, clock) == (30, 9, 0, 0)


def test_a_bug_that_has_started_may_take_as_long_as_it_likes(
    store: ClusterStore, clock: Clock
) -> None:
    life, _ = node(store, "n0")
    (run,) = running(store, life, impatient("a", waiting=1))
    for _ in range(3):
        clock.advance(s=8)
        beat(store, life)
        report(store, run)
        store.sweep()

    assert store.bug("a").state is BugState.RUNNING
    assert "patience" not in dump(store)


def test_a_bug_without_a_limit_leaves_no_trace_of_one(store: ClusterStore, clock: Clock) -> None:
    store.submit([bug("a", limits={"setup": 5, "run": 5})])
    clock.advance(s=86_400)

    store.sweep()

    assert store.bug("a").state is BugState.PENDING
    assert "patience" not in dump(store)
    assert "wait_limit_ms" not in dump(store)["bug:a"]


def test_a_bug_that_was_given_back_with_its_limit_used_up_ends_in_the_same_sweep(
    store: ClusterStore, clock: Clock
) -> None:
    store.submit([impatient("a", waiting=10)])
    clock.advance(s=11)
    silent, (assigned,) = node(store, "n0")  # it is assigned before a sweep comes by
    start(store, assigned, silent)
    clock.advance(s=11)
    node(store, "n1")

    swept = store.sweep()

    assert swept.gone == ["n0"]
    record = store.bug("a")
    assert (record.state, record.losses) == (BugState.ESCALATED, 1)
    assert violations(store) == []


@pytest.mark.parametrize("ending", ["cancel", "release"])
def test_a_bug_that_is_taken_out_of_line_is_not_timed_out_later(
    store: ClusterStore, clock: Clock, ending: str
) -> None:
    store.submit([impatient("a")])
    getattr(store, ending)("a")
    store.submit([bug("a")])
    clock.advance(s=60)
    state = dump(store).get("bug:a", {}).get("state")

    store.sweep()

    assert "patience" not in dump(store)
    assert dump(store)["bug:a"]["state"] == state


def test_a_retried_bug_may_wait_as_long_again(store: ClusterStore, clock: Clock) -> None:
    store.submit([impatient("a")])
    clock.advance(s=30)
    store.sweep()
    store.retry("a")
    clock.advance(s=29)
    store.sweep()
    before = store.bug("a").state
    clock.advance(s=1)

    store.sweep()

    assert (before, store.bug("a").state) == (BugState.PENDING, BugState.ESCALATED)


def test_a_node_that_was_kept_for_a_bug_which_gives_up_serves_all_again(
    make_store: MakeStore, clock: Clock
) -> None:
    store = make_store(starve_after_sec=5)
    life, _ = node(store, "n0", agents=9)
    (run, other) = running(store, life, bug("x"), bug("y", agents=6))
    store.submit([impatient("big", waiting=16, agents=9)])
    clock.advance(s=8)
    finish(store, run)
    store.submit([bug("small")])
    assert dump(store)["starving"] == {"9|": "n0"}
    clock.advance(s=8)
    beat(store, life)
    report(store, other)

    (handed,) = store.sweep().assignments

    assert handed.bug_id == "small"
    assert "starving" not in dump(store)


def test_many_that_give_up_at_once_are_ended_a_sweep_at_a_time(
    store: ClusterStore, settings: Settings, clock: Clock
) -> None:
    once = ClusterStore(store.client, settings, clock_ms=lambda: clock.now_ms)  # no call twice
    once.submit([impatient(f"b{i}") for i in range(25)])
    clock.advance(s=30)

    left = []
    for _ in range(3):
        once.sweep(10)
        left.append(once.snapshot().waiting)

    assert left == [15, 5, 0]
