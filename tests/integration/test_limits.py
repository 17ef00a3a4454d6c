"""Each of a bug's clocks, on a real node: what it counts, and what happens at its limit."""

import time
from typing import Any

import pytest

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.domain.clocks import BugClock
from tests.support.node_cluster import FOR_EVER, NodeCluster
from tests.support.processes import having
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("shared")

TRIAGE = {"phase": "TRIAGE"}
HANG = {"sleep_s": FOR_EVER}


@pytest.mark.parametrize(
    ("clock", "steps", "said"),
    [
        ("setup", [HANG], "its set-up limit of 1 s passed in phase TRIAGE"),
        ("run", [{"then": "PATCH"}, HANG], "its run limit of 1 s passed in phase PATCH"),
        ("verify", [{"then": "VERIFY"}, HANG], "its verify limit of 1 s passed in phase VERIFY"),
    ],
)
def test_a_run_ends_at_the_limit_of_the_clock_that_runs(
    cluster: NodeCluster, clock: str, steps: list[dict[str, Any]], said: str
) -> None:
    bug = cluster.submit(*steps, payload=TRIAGE, limits={clock: 1}, timeout_s=FOR_EVER)

    record = cluster.wait(bug)

    assert record.state is BugState.ESCALATED
    assert record.outcome == {
        "outcome": "TIMED_OUT",
        "reason": f"{said}; all its processes were killed",
        "clock": clock,
    }
    assert 900 <= record.counted[BugClock(clock)] < 10_000


def test_a_bug_that_no_node_takes_ends_at_its_waiting_limit(cluster: NodeCluster) -> None:
    bug = cluster.submit({}, requires=frozenset({"nowhere"}), limits={"waiting": 1})

    record = cluster.wait(bug)

    assert (record.state, record.runs) == (BugState.ESCALATED, 0)
    assert record.outcome["outcome"] == "TIMED_OUT"
    assert record.outcome["reason"] == "its waiting limit of 1 s passed before a node started it"
    assert record.counted[BugClock.WAITING] >= 1000


def test_a_slow_set_up_is_not_charged_to_the_time_of_the_work(cluster: NodeCluster) -> None:
    clone = {"sleep_s": 2.5, "then": "REPRO"}

    record = cluster.wait(cluster.submit(clone, {}, payload=TRIAGE, timeout_s=1.5))

    assert record.state is BugState.DONE
    assert record.counted[BugClock.SETUP] >= 2500
    assert record.counted[BugClock.RUN] < 1500


def test_clocks_without_a_limit_share_the_timeout(cluster: NodeCluster) -> None:
    # Neither stay is as long as the timeout.
    steps = [{"sleep_s": 1.2, "then": "VERIFY"}, HANG]

    record = cluster.wait(cluster.submit(*steps, payload={"phase": "REPRO"}, timeout_s=2))

    assert record.outcome["reason"].startswith("its time limit of 2 s (the verify clock has none")
    assert record.counted[BugClock.VERIFY] < 2000


def test_all_ticks_of_an_engine_without_phases_are_the_runs(cluster: NodeCluster) -> None:
    bug = cluster.submit({"sleep_s": 1.5}, timeout_s=FOR_EVER)

    phase = wait_until("its phase is told", lambda: cluster.running(bug).phase == "RUN")
    record = cluster.wait(bug)

    assert phase
    assert record.counted[BugClock.RUN] >= 1490  # it began to sleep before the store was told
    assert record.counted[BugClock.SETUP] < 1500


def test_the_age_of_the_last_output_grows_while_an_engine_is_silent(cluster: NodeCluster) -> None:
    bug = cluster.submit({"sleep_s": 1.5}, {"print": "words"}, HANG)
    wait_until("it has printed", lambda: cluster.store.bug(bug).printed_ms)

    (at_first,) = cluster.store.running([bug])
    wait_until(
        "it is silent",
        lambda: cluster.store.running([bug])[0].silent_ms > at_first.silent_ms + 1000,
    )

    cluster.manager.handle(bug).cancel()
    assert cluster.wait(bug).state is BugState.CANCELLED


def test_a_deaf_engine_that_floods_its_output_is_gone_within_seconds_of_its_limit(
    cluster: NodeCluster, mark: str
) -> None:
    steps = [{"flood": mark, "children": mark, "daemon": mark, "deaf": True, "spin_s": FOR_EVER}]
    bug = cluster.submit(*steps, limits={"run": 2})
    cluster.running(bug)
    began = time.monotonic()

    record = cluster.wait(bug)

    assert record.outcome["reason"].startswith("its run limit of 2 s passed")
    assert having(mark) == []
    assert time.monotonic() - began < 2 + 10
    assert 0 < len(cluster.store.log(bug, 1)) < 2**20
