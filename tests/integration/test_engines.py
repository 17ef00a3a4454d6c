"""Engines that have the two methods and little more, on real nodes: FixWurx's own is such a one."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.store.event_log import whole_log
from tests.support.engines import TWENTY_TICKS
from tests.support.live_cluster import LiveCluster
from tests.support.processes import NodeProcess, having
from tests.support.waiting import wait_until

ALL_TICKS = [(phase, timer) for phase, most in TWENTY_TICKS.items() for timer in range(most)]
ENDLESS = {"plan": {"PATCH": 10**9}, "work_s": 0.01}
GRACE_S = 1.0
"""What an engine that is told to end has for the rest of its tick."""
WITHIN_S = 5.0
"""A bug is gone so soon after it was cancelled, on a machine that is busy."""


@pytest.fixture(scope="module")
def cluster(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    folder = tmp_path_factory.mktemp("engines")
    made = LiveCluster(
        folder,
        redis_url=redis_url,
        engine="tests.support.engines:triangle",
        heartbeat_timeout_sec=10,  # whatever ends within less is not ended by silence
        lease_sec=15,
    )
    yield made
    made.cancel_all()
    made.close()


@pytest.fixture(scope="module")
def pair(cluster: LiveCluster) -> Iterator[list[NodeProcess]]:
    """Two nodes, each with a working folder of its own."""
    with cluster.node("first@here") as first, cluster.node("second@here") as second:
        yield [first, second]


class Ticks:
    """What the bugs of a test have done, tick by tick."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def lines(self, bug: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.file.read_text().splitlines()]
        return [line for line in found if line["bug"] == bug]

    def of(self, bug: str) -> list[tuple[str, int]]:
        return [(line["phase"], line["timer"]) for line in self.lines(bug) if "phase" in line]

    def by_run(self, bug: str) -> list[list[tuple[str, int]]]:
        """The ticks of each process, in their order."""
        runs: dict[int, list[tuple[str, int]]] = {}
        for line in self.lines(bug):
            if "phase" in line:
                runs.setdefault(line["pid"], []).append((line["phase"], line["timer"]))
        return [*runs.values()]


@pytest.fixture
def ticks(tmp_path: Path) -> Ticks:
    file = tmp_path / "ticks"
    file.touch()
    return Ticks(file)


def submit(cluster: LiveCluster, ticks: Ticks, *, agents: int = 1, **payload: Any) -> str:
    return cluster.submit(payload={"ticks": str(ticks.file), **payload}, agents=agents)


def phases_told(cluster: LiveCluster, bug: str) -> list[str]:
    return [
        event.detail
        for event in whole_log(cluster.store)
        if event.bug == bug and event.action == "bug_phase"
    ]


@pytest.mark.parametrize("kind", ["plain", "async", "cancellable"])
def test_two_methods_and_a_bug_with_a_phase_are_enough(
    cluster: LiveCluster, pair: list[NodeProcess], ticks: Ticks, kind: str
) -> None:
    bug = submit(cluster, ticks, kind=kind)

    record = cluster.wait(bug)

    assert (record.state, record.outcome, record.runs) == (BugState.DONE, {"phase": "DONE"}, 1)
    assert ticks.of(bug) == ALL_TICKS
    # Every phase came to the store, in its order, though all of them took no time at all.
    assert phases_told(cluster, bug) == ["REPRO", "ANALYZE", "PATCH", "VERIFY"]
    assert "cancelled" not in ticks.file.read_text()


def test_a_bug_that_ends_in_escalate_is_not_fixed(
    cluster: LiveCluster, pair: list[NodeProcess], ticks: Ticks
) -> None:
    record = cluster.wait(submit(cluster, ticks, ends="ESCALATE"))

    assert record.state is BugState.DONE
    assert record.outcome == {
        "outcome": "NOT_FIXED",
        "phase": "ESCALATE",
        "reason": "its engine ended in phase ESCALATE",
    }


def test_a_factory_that_cannot_be_called_says_how_to_write_it(
    cluster: LiveCluster, ticks: Ticks
) -> None:
    unusable = "tests.support.engines:takes_nothing"
    with cluster.only_node("unusable", engine=unusable):
        bug = cluster.submit(requires=frozenset({"unusable"}))

        record = cluster.wait(bug)

    assert record.state is BugState.ESCALATED
    assert record.outcome == {
        "outcome": "ERROR",
        "reason": f"ValueError: FIXWURX_ENGINE='{unusable}' makes no engine: it takes no bug; "
        "write it as takes_nothing(bug), takes_nothing(bug, workspace) or "
        "takes_nothing(bug, workspace, checkpoint)",
    }


# -- from one node to the next ---------------------------------------------------------------


def kill_all_of(node: NodeProcess) -> None:
    """kill -9 of all its processes, those that could still tell the store something first."""
    for process in [psutil.Process(node.process.pid), *node.pool(), *node.engine_hosts()]:
        os.kill(process.pid, signal.SIGKILL)
    node.process.wait(timeout=10)


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_killed_nodes_bugs_repeat_no_phase_that_is_done(
    cluster: LiveCluster, pair: list[NodeProcess], ticks: Ticks, kind: str
) -> None:
    with cluster.node("doomed@here", capabilities=frozenset({"doomed"})) as node:
        bugs = [
            cluster.submit(
                payload={"ticks": str(ticks.file), "work_s": 0.04, "kind": kind},
                agents=1,
                requires=frozenset({"doomed"}),
            )
            for _ in range(3)
        ]
        wait_until(
            "one is in its third phase, of five",
            lambda: any(cluster.store.bug(bug).phase == "ANALYZE" for bug in bugs),
            within_s=20,
        )

        kill_all_of(node)

    with cluster.node("heir@here", capabilities=frozenset({"doomed"})):
        records = [cluster.wait(bug, within_s=30) for bug in bugs]

    for record in records:
        assert (record.state, record.outcome) == (BugState.DONE, {"phase": "DONE"})
        assert (record.runs, record.attempts, record.losses) == (2, 0, 1)
        before, after = ticks.by_run(record.id)
        again = [tick for tick in before if tick in after]
        # The second run goes on in the last phase that the first one had come to; what it does
        # again it does from the last checkpoint, the beginning of that phase, or later.
        came_to = ALL_TICKS[len(before)][0]
        assert before == ALL_TICKS[: len(before)]
        assert after == ALL_TICKS[len(ALL_TICKS) - len(after) :]
        assert after[0][0] in {before[-1][0], came_to}
        assert len({phase for phase, _ in again}) <= 1
        assert all(phase == before[-1][0] for phase, _ in again)


def test_a_bug_that_is_moved_repeats_nothing(
    cluster: LiveCluster, pair: list[NodeProcess], ticks: Ticks
) -> None:
    bug = submit(cluster, ticks, work_s=0.05, plan={"REPRO": 40}, agents=3)
    holder = cluster.running(bug).worker_id
    wait_until("it is in the middle of its phase", lambda: len(ticks.of(bug)) > 4)

    cluster.store.drain(holder, 0)
    record = cluster.wait(bug)
    cluster.store.resume(holder)

    assert (record.runs, record.attempts, record.losses) == (2, 0, 0)
    assert record.worker_id in {node.name for node in pair} - {holder}
    assert ticks.of(bug) == [("REPRO", timer) for timer in range(40)]
    assert len(ticks.by_run(bug)) == 2


# -- cancelled -------------------------------------------------------------------------------


def cancel(cluster: LiveCluster, bug: str) -> float:
    """Cancels it, and how long that took."""
    began = time.monotonic()
    assert cluster.manager.handle(bug).cancel() == "CANCELLING"
    record = cluster.wait(bug)
    assert (record.state, record.runs) == (BugState.CANCELLED, 1)
    return time.monotonic() - began


def test_an_engine_that_wants_to_know_is_told_that_it_is_cancelled(
    cluster: LiveCluster, pair: list[NodeProcess], ticks: Ticks
) -> None:
    bug = submit(cluster, ticks, kind="cancellable", **ENDLESS)
    wait_until("it ticks", lambda: len(ticks.of(bug)) > 1)

    took_s = cancel(cluster, bug)

    assert took_s < WITHIN_S
    *others, last = ticks.lines(bug)
    assert last["cancelled"]
    assert not any("cancelled" in line for line in others)


@pytest.mark.parametrize("more", [ENDLESS, {"hangs": "REPRO"}])
def test_what_it_started_is_gone_whether_it_ends_in_time_or_not(
    cluster: LiveCluster, pair: list[NodeProcess], ticks: Ticks, mark: str, more: dict[str, Any]
) -> None:
    bug = submit(cluster, ticks, kind="cancellable", children=mark, **more)
    wait_until("its children run", lambda: len(having(mark)) == 2)

    cancel(cluster, bug)

    assert having(mark) == []


def test_an_engine_that_is_cancelled_while_it_hangs_is_killed(
    cluster: LiveCluster, pair: list[NodeProcess], ticks: Ticks
) -> None:
    bug = submit(cluster, ticks, kind="cancellable", hangs="REPRO")
    wait_until("it hangs", lambda: cluster.store.bug(bug).phase == "REPRO")

    took_s = cancel(cluster, bug)

    assert GRACE_S <= took_s < WITHIN_S
    assert len(ticks.lines(bug)) == TWENTY_TICKS["TRIAGE"]


def test_an_engine_that_does_not_want_to_know_is_killed_at_once(
    cluster: LiveCluster, pair: list[NodeProcess], ticks: Ticks
) -> None:
    bug = submit(cluster, ticks, hangs="REPRO")
    wait_until("it hangs", lambda: cluster.store.bug(bug).phase == "REPRO")

    assert cancel(cluster, bug) < WITHIN_S


def test_an_engine_out_of_time_is_told_so(
    cluster: LiveCluster, pair: list[NodeProcess], ticks: Ticks
) -> None:
    bug = cluster.submit(
        payload={"ticks": str(ticks.file), "kind": "cancellable", **ENDLESS},
        agents=1,
        timeout_s=1,
    )

    record = cluster.wait(bug)

    assert (record.state, record.outcome["outcome"]) == (BugState.ESCALATED, "TIMED_OUT")
    assert ticks.lines(bug)[-1]["cancelled"]
