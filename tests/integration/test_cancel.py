"""Cancelling in every live state, and running again from every terminal one, on real nodes."""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from fixwurx_celery.broker import make_app, node_queue
from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.domain.nodes import WorkerState
from tests.support.node_cluster import FOR_EVER, NodeCluster
from tests.support.processes import NodeProcess, having
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("shared")

HANG = {"sleep_s": FOR_EVER}
WITHIN_S = 5.0
"""A running bug is gone so soon after it was cancelled, on a machine that is busy."""


def submit(cluster: NodeCluster, *steps: dict[str, Any], on: str = "python", **given: Any) -> str:
    """A bug for nodes with this capability; that of the shared node, unless it is said."""
    return cluster.submit(*steps, requires=frozenset({on}), **given)


def cancel(cluster: NodeCluster, bug: str) -> str:
    return cluster.manager.handle(bug).cancel()


def check_cancelled(cluster: NodeCluster, bug: str, *, runs: int) -> None:
    record = cluster.wait(bug)
    assert (record.state, record.runs) == (BugState.CANCELLED, runs)
    assert record.outcome["outcome"] == "CANCELLED"
    assert (record.attempts, record.losses) == (0, 0)


# -- cancel ----------------------------------------------------------------------------------


def test_a_bug_in_line(cluster: NodeCluster) -> None:
    bug = submit(cluster, {}, on="nowhere")

    assert cancel(cluster, bug) == "CANCELLED"

    check_cancelled(cluster, bug, runs=0)
    assert cluster.store.snapshot().waiting == 0


def test_a_bug_that_backs_off(cluster: NodeCluster) -> None:
    with cluster.only_node("patient", backoff_sec=600.0):
        bug = submit(cluster, {"crash": True}, on="patient")
        wait_until("it backs off", lambda: cluster.store.snapshot().delayed == 1, within_s=20)

        assert cancel(cluster, bug) == "CANCELLED"

        record = cluster.wait(bug)
        assert (record.state, record.runs, record.attempts) == (BugState.CANCELLED, 2, 2)
        assert cluster.store.snapshot().delayed == 0


def test_a_bug_that_is_assigned_to_a_node_which_does_not_consume(
    cluster: NodeCluster, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    with cluster.only_node("absent") as node:
        app = make_app(cluster.settings)
        queue, to = node_queue(node.name).name, [node.name]
        app.control.cancel_consumer(queue, destination=to, reply=True, timeout=10)
        bug = submit(cluster, {"note": str(note)}, on="absent")
        state = cluster.store.bug(bug).state

        answer = cancel(cluster, bug)

        app.control.add_consumer(queue, destination=to, reply=True, timeout=10)
        other = submit(cluster, {}, on="absent")  # rung after it
        assert cluster.wait(other).state is BugState.DONE
        assert (state, answer) == (BugState.ASSIGNED, "CANCELLED")
        check_cancelled(cluster, bug, runs=0)
        assert not note.exists()


def test_a_bug_that_runs_deaf_and_has_left_its_session(
    cluster: NodeCluster, shared: NodeProcess, mark: str
) -> None:
    bug = submit(cluster, {"deaf": True, "children": mark, "daemon": mark, "spin_s": FOR_EVER})
    wait_until("its processes run", lambda: len(having(mark)) == 3)
    began = time.monotonic()

    assert cancel(cluster, bug) == "CANCELLING"

    check_cancelled(cluster, bug, runs=1)
    assert time.monotonic() - began < WITHIN_S
    assert having(mark) == []
    assert shared.state() is WorkerState.READY


def test_a_bug_on_a_node_that_drains(cluster: NodeCluster, mark: str) -> None:
    with cluster.only_node("leaving") as node:
        bug = submit(cluster, {"children": mark, **HANG}, on="leaving")
        wait_until("its processes run", lambda: len(having(mark)) == 2, within_s=20)
        node.process.terminate()
        wait_until("it drains", lambda: node.state() is WorkerState.STOPPING)
        began = time.monotonic()

        assert cancel(cluster, bug) == "CANCELLING"

        check_cancelled(cluster, bug, runs=1)
        assert time.monotonic() - began < WITHIN_S
        assert having(mark) == []
        assert node.process.wait(timeout=20) == 0


def test_a_bug_on_a_node_that_is_frozen_once_that_is_lost(cluster: NodeCluster, mark: str) -> None:
    with cluster.only_node("frozen") as node:
        bug = submit(cluster, {"children": mark, **HANG}, on="frozen")
        wait_until("its processes run", lambda: len(having(mark)) == 2, within_s=20)
        everything = [psutil.Process(node.process.pid), *node.pool(), *node.engine_hosts()]
        for process in everything:
            os.kill(process.pid, signal.SIGSTOP)

        assert cancel(cluster, bug) == "CANCELLING"

        record = cluster.wait(bug)
        assert (record.state, record.runs) == (BugState.CANCELLED, 1)
        assert node.state() is WorkerState.OFFLINE
        for process in everything:
            with contextlib.suppress(ProcessLookupError):  # one that thawed before ended it
                os.kill(process.pid, signal.SIGCONT)
        wait_until("nothing of it is left", lambda: having(mark) == [], within_s=20)
        assert cluster.store.bug(bug).state is BugState.CANCELLED


def test_a_reservation(cluster: NodeCluster) -> None:
    assert cluster.manager.allocate("reserved")

    assert cluster.store.cancel("reserved")[0] == "RELEASED"

    assert not cluster.manager.has("reserved")
    assert all("reserved" not in node.bugs for node in cluster.store.snapshot().nodes)


# -- retry -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "state"), [("FIXED", BugState.DONE), ("ERROR", BugState.ESCALATED)]
)
def test_a_bug_that_ended_by_its_engine_runs_again(
    cluster: NodeCluster, tmp_path: Path, outcome: str, state: BugState
) -> None:
    note = tmp_path / "note"
    bug = submit(cluster, {"note": str(note)}, payload={"outcome": {"outcome": outcome}})
    first = cluster.wait(bug)

    status, assignments = cluster.store.retry(bug)
    cluster.connection.ring(assignments)

    again = cluster.wait(bug)
    assert status == "PENDING"
    assert (first.state, again.state, again.runs) == (state, state, 2)
    assert again.epoch > first.epoch
    assert len(note.read_text().splitlines()) == 2


def test_a_bug_that_was_cancelled_runs_again_and_is_cancelled_again(
    cluster: NodeCluster, mark: str
) -> None:
    bug = submit(cluster, {"children": mark, **HANG})
    for run in (1, 2):
        wait_until("its processes run", lambda: len(having(mark)) == 2, within_s=20)
        cluster.running(bug, run=run)
        assert cancel(cluster, bug) == "CANCELLING"
        check_cancelled(cluster, bug, runs=run)
        assert having(mark) == []
        if run == 1:
            cluster.connection.ring(cluster.store.retry(bug)[1])


def test_a_bug_that_waited_too_long_runs_again_when_there_is_a_node(cluster: NodeCluster) -> None:
    bug = submit(cluster, {}, on="late", limits={"waiting": 2})
    first = cluster.wait(bug)
    with cluster.only_node("late"):
        cluster.connection.ring(cluster.store.retry(bug)[1])

        again = cluster.wait(bug)

    assert (first.state, first.outcome["clock"]) == (BugState.ESCALATED, "waiting")
    assert (again.state, again.runs) == (BugState.DONE, 1)
