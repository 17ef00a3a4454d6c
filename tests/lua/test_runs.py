"""start, report, finish, fail_attempt: one run of a bug, and everyone who comes too late for it."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.store import ClusterStore
from tests.support.clock import Clock
from tests.support.cluster import Run, bug, fail, finish, node, running, start
from tests.support.state import dump, without_tries

MakeStore = Callable[..., ClusterStore]

STALE_CALLS = [
    ("another epoch", {"epoch": 5}),
    ("another life", {"incarnation": "old"}),
    ("another node", {"node": "elsewhere"}),
    ("another runner", {"runner": "other"}),
]


def call(store: ClusterStore, script: str, run: Run) -> object:
    named = (run.bug, run.node, run.incarnation, run.epoch)
    match script:
        case "start":
            return store.start(*named, run.runner)
        case "report":
            return store.report(*named, run.runner, phase="PATCH", checkpoint="1", log="x")
        case "finish":
            return store.finish(*named, run.runner, BugState.DONE, {}) or "STALE"
        case _:
            return store.fail_attempt(*named, "attempts", "died", runner=run.runner)[0]


def test_a_started_bug_is_leased_and_its_bell_is_not_rung_again(
    store: ClusterStore, clock: Clock
) -> None:
    life, _ = node(store, "n0")

    (run,) = running(store, life, bug("a"))

    state = dump(store)
    assert "outbox" not in state
    assert state["leases"] == {"a": clock.now_ms + 15_000}
    record = store.bug("a")
    assert (record.state, record.runs, record.phase) == (BugState.RUNNING, 1, "TRIAGE")
    assert record.epoch == run.epoch


def test_a_message_delivered_twice_starts_once(store: ClusterStore) -> None:
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))

    second = store.start(run.bug, run.node, run.incarnation, run.epoch, "another process")

    assert second == "STALE"


@pytest.mark.parametrize(
    ("script", "who", "change"),
    [
        (script, who, change)
        for script in ("start", "report", "finish", "fail_attempt")
        for who, change in STALE_CALLS
    ],
)
def test_a_late_caller_is_refused_and_changes_nothing(
    store: ClusterStore, script: str, who: str, change: dict[str, object]
) -> None:
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))
    before = without_tries(dump(store))

    assert call(store, script, replace(run, **change)) == "STALE"  # type: ignore[arg-type]
    assert without_tries(dump(store)) == before


def test_a_node_gives_a_bug_back_whatever_process_ran_it(store: ClusterStore) -> None:
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))

    assert fail(store, run)[0] == "PENDING"


def test_a_run_whose_start_was_not_answered_is_given_back_uncharged(store: ClusterStore) -> None:
    life, _ = node(store, "n0")
    _, (given,) = store.submit([bug("a")])

    status, (again,) = store.fail_attempt(
        "a", "n0", life.incarnation, given.epoch, "", "unanswered", runner="r1"
    )

    assert status == "PENDING"
    assert again.epoch > given.epoch
    assert store.start("a", "n0", life.incarnation, given.epoch, "r1") == "STALE"


@pytest.mark.parametrize("script", ["start", "report", "finish", "fail_attempt"])
def test_a_bug_that_nobody_submitted_is_refused(store: ClusterStore, script: str) -> None:
    before = without_tries(dump(store))

    assert call(store, script, Run("ghost", "n0", "i", 1, "r")) == "STALE"
    assert without_tries(dump(store)) == before


@pytest.mark.parametrize("script", ["report", "finish"])
def test_a_bug_that_was_not_started_cannot_be_reported_or_finished(
    store: ClusterStore, script: str
) -> None:
    life, _ = node(store, "n0")
    _, (assigned,) = store.submit([bug("a")])

    assert call(store, script, Run("a", life.node, life.incarnation, assigned.epoch, "")) == "STALE"
    assert store.bug("a").state is BugState.ASSIGNED


def test_a_bug_cancelled_on_its_way_is_not_started(store: ClusterStore) -> None:
    life, _ = node(store, "n0")
    _, (assigned,) = store.submit([bug("a")])
    store.cancel("a")

    answer = store.start("a", life.node, life.incarnation, assigned.epoch, "r")

    assert answer == "CANCELLED"


def test_a_report_keeps_phase_checkpoint_log_and_lease(store: ClusterStore, clock: Clock) -> None:
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))
    clock.advance(s=9)

    for text in ("one\n", "two\n", "two\n"):
        answer = store.report(
            run.bug, run.node, run.incarnation, run.epoch, run.runner,
            phase="PATCH", checkpoint='{"at": 1}', log=text,
        )  # fmt: skip
        assert answer == "CONTINUE"

    state = dump(store)
    assert state["leases"] == {"a": clock.now_ms + 15_000}
    assert state["bug:a"]["phase"] == "PATCH"
    assert state["bug:a"]["checkpoint"] == '{"at": 1}'
    assert store.log("a", 1) == "one\ntwo\ntwo\n"
    assert "log:a:1 (expires)" in state


def test_a_log_is_bounded(store: ClusterStore) -> None:
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))

    for i in range(260):
        store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner, log=f"{i}\n")

    lines = store.log("a", 1).split()
    assert (lines[0], lines[-1], len(lines)) == ("4", "259", 256)


def test_text_that_is_no_unicode_does_not_stop_a_report(store: ClusterStore) -> None:
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))

    store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner, log="a\udcffb")
    status, _ = fail(store, run, reason="it said \udcff")

    assert store.log("a", 1) == "a?b"
    assert status == "PENDING"
    assert store.bug("a").history[0]["reason"] == "it said ?"


def test_a_finish_records_the_outcome_once_and_hands_out_the_next_bug(store: ClusterStore) -> None:
    life, _ = node(store, "n0", agents=3)
    (run,) = running(store, life, bug("a"))
    store.submit([bug("b")])

    (following,) = finish(store, run)

    assert (following.worker_id, following.bug_id) == ("n0", "b")
    record = store.bug("a")
    assert (record.state, record.outcome) == (BugState.DONE, {"outcome": "FIXED"})
    assert set(dump(store)["finished"]) == {"a"}
    other = store.finish(
        run.bug, run.node, run.incarnation, run.epoch, run.runner, BugState.ESCALATED, {"x": 1}
    )
    assert other is None
    assert store.bug("a").outcome == {"outcome": "FIXED"}


def test_a_finish_sent_twice_lists_what_it_handed_out_again(store: ClusterStore) -> None:
    life, _ = node(store, "n0", agents=3)
    (run,) = running(store, life, bug("a"))
    store.submit([bug("b")])

    first = finish(store, run)

    assert finish(store, run) == first


@pytest.mark.parametrize("state", [BugState.PENDING, BugState.RUNNING, BugState.RESERVED])
def test_a_finish_into_a_live_state_is_refused(store: ClusterStore, state: BugState) -> None:
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))

    with pytest.raises(ValueError, match="terminal"):
        finish(store, run, state)


@pytest.mark.parametrize(
    "outcome",
    [
        {},
        [],
        "",
        0,
        None,
        {"list": [], "object": {}},
        {"patch": "+ü€\n" * 40_000},
        ["\ud800", 2**63],
    ],
    ids=["object", "list", "text", "zero", "null", "empties", "256KB", "odd"],
)
def test_an_outcome_comes_back_as_it_was_given(store: ClusterStore, outcome: object) -> None:
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))

    store.finish(run.bug, run.node, run.incarnation, run.epoch, run.runner, BugState.DONE, outcome)

    assert store.bug("a").outcome == outcome


def test_a_bug_whose_process_died_runs_again_from_its_checkpoint_with_a_new_epoch(
    store: ClusterStore,
) -> None:
    life, _ = node(store, "n0", agents=3)
    (run,) = running(store, life, bug("a"))
    store.report(
        run.bug, run.node, run.incarnation, run.epoch, run.runner, checkpoint=json.dumps([1, 2])
    )

    status, (again,) = fail(store, run)

    assert status == "PENDING"
    assert again.epoch > run.epoch
    started = store.start("a", life.node, life.incarnation, again.epoch, "r2")
    assert not isinstance(started, str)
    assert (started.checkpoint, started.run) == ([1, 2], 2)
    assert store.bug("a").attempts == 1


def test_the_second_failure_waits_for_its_back_off_and_the_third_is_the_last(
    store: ClusterStore, clock: Clock
) -> None:
    life, _ = node(store, "n0", agents=3)
    (run,) = running(store, life, bug("a"))
    _, (again,) = fail(store, run)

    status, assigned = fail(store, start(store, again, life, "r2"))
    assert (status, assigned) == ("PENDING", [])
    assert dump(store)["delayed"] == {"a": clock.now_ms + 1000}
    clock.advance(ms=1000)
    store.heartbeat("n0", life.incarnation, {})
    (third,) = store.sweep().assignments
    status, _ = fail(store, start(store, third, life, "r3"), reason="killed by signal 9")

    assert status == "ESCALATED"
    record = store.bug("a")
    assert (record.state, record.attempts, record.runs) == (BugState.ESCALATED, 3, 3)
    assert record.outcome["outcome"] == "ERROR"
    assert record.outcome["reason"] == "killed by signal 9"
    assert [entry["charge"] for entry in record.history] == ["attempts"] * 3
    assert "delayed" not in dump(store)


def test_a_bug_given_back_uncharged_never_uses_itself_up(store: ClusterStore) -> None:
    life, _ = node(store, "n0", agents=3)
    (run,) = running(store, life, bug("a"))

    for i in range(10):
        status, (again,) = fail(store, run, charge="", reason="node drains")
        assert status == "PENDING"
        run = start(store, again, life, f"r{i}")

    record = store.bug("a")
    assert (record.attempts, record.losses, record.history) == (0, 0, [])


def test_a_bug_that_fails_over_keeps_its_place_in_line(store: ClusterStore) -> None:
    life, _ = node(store, "n0", agents=3)
    (run,) = running(store, life, bug("a"))
    store.submit([bug("b"), bug("c", expected_s=99)])

    _, (next_one,) = fail(store, run)

    assert next_one.bug_id == "a"


def test_a_failed_bug_that_is_being_cancelled_ends_cancelled(store: ClusterStore) -> None:
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))
    assert store.cancel("a")[0] == "CANCELLING"

    assert fail(store, run)[0] == "CANCELLED"
    assert store.bug("a").state is BugState.CANCELLED
