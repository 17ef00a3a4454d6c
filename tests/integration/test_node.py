"""A node as its operator runs it: a real `celery worker`, real engines, real kills."""

import contextlib
import dataclasses
import os
import signal
from pathlib import Path

import psutil

from fixwurx_celery.broker import Doorbells, make_app, node_queue
from fixwurx_celery.domain.bugs import Assignment, Bug, BugState
from fixwurx_celery.domain.nodes import WorkerState
from tests.support.node_cluster import FOR_EVER, NodeCluster
from tests.support.processes import NodeProcess, having, nodes, start_node
from tests.support.waiting import wait_until


def test_a_bug_runs_and_its_outcome_and_log_are_kept(
    cluster: NodeCluster, shared: NodeProcess
) -> None:
    bug = cluster.submit({"phase": "REPRO", "print": "reproduced"}, {"phase": "PATCH"})

    record = cluster.wait(bug)

    assert record.state is BugState.DONE
    assert record.outcome == {"outcome": "FIXED", "steps": 2, "resumed_after": 0}
    assert (record.worker_id, record.runs, record.attempts) == ("shared@here", 1, 0)
    assert "reproduced" in cluster.store.log(bug, 1)


def test_a_node_consumes_its_own_queue_only(cluster: NodeCluster, shared: NodeProcess) -> None:
    app = make_app(cluster.settings)

    queues = app.control.inspect(destination=[shared.name], timeout=5).active_queues()

    assert [queue["name"] for queue in queues[shared.name]] == [node_queue(shared.name).name]


def test_a_doorbell_rung_twice_or_late_starts_nothing(
    cluster: NodeCluster, shared: NodeProcess, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    bug = cluster.submit({"note": str(note), "sleep_s": 0.5})
    epoch = cluster.running(bug).epoch
    bells = Doorbells(make_app(cluster.settings))

    bells.ring([Assignment(shared.name, bug, epoch)] * 2)
    cluster.wait(bug)
    bells.ring([Assignment(shared.name, bug, epoch), Assignment(shared.name, bug, epoch - 1)])
    cluster.wait(cluster.submit({}))  # rung after those, on the same queue
    bells.close()

    assert len(note.read_text().splitlines()) == 1


def test_a_lost_doorbell_is_rung_again(cluster: NodeCluster, shared: NodeProcess) -> None:
    bug = Bug(id="lost-bell", payload={"steps": [{}]})
    cluster.store.submit([bug])  # committed, and the submitter dies before it rings

    assert cluster.wait(bug.id).state is BugState.DONE


def test_cancelling_ends_the_engine_and_all_it_started(
    cluster: NodeCluster, shared: NodeProcess, mark: str
) -> None:
    bug = cluster.submit({"children": mark, "sleep_s": FOR_EVER})
    wait_until("its children run", lambda: len(having(mark)) == 2)

    assert cluster.manager.handle(bug).cancel() == "CANCELLING"
    record = cluster.wait(bug)

    assert record.state is BugState.CANCELLED
    assert having(mark) == []
    assert shared.state() is WorkerState.READY


def test_a_bug_over_its_time_is_ended_with_all_it_started(
    cluster: NodeCluster, shared: NodeProcess, mark: str
) -> None:
    bug = cluster.submit({"children": mark, "phase": "REPRO", "spin_s": FOR_EVER}, timeout_s=1.5)

    record = cluster.wait(bug)

    assert record.state is BugState.ESCALATED
    assert record.outcome["outcome"] == "TIMED_OUT"
    assert having(mark) == []


def test_what_an_engine_leaves_behind_is_ended(
    cluster: NodeCluster, shared: NodeProcess, mark: str
) -> None:
    bug = cluster.submit({"children": mark})

    assert cluster.wait(bug).state is BugState.DONE
    assert having(mark) == []


def test_a_busy_engine_keeps_its_lease(cluster: NodeCluster, shared: NodeProcess) -> None:
    bug = cluster.submit({"spin_s": cluster.settings.lease_sec + 1.5})

    record = cluster.wait(bug)

    assert (record.state, record.runs) == (BugState.DONE, 1)


def test_an_engine_that_raises_ends_escalated_with_the_reason(
    cluster: NodeCluster, shared: NodeProcess
) -> None:
    bug = cluster.submit({"raise": "no such tree"})

    record = cluster.wait(bug)

    assert record.state is BugState.ESCALATED
    assert record.outcome == {"outcome": "ERROR", "reason": "RuntimeError: no such tree"}
    assert "no such tree" in cluster.store.log(bug, 1)


def test_an_engine_whose_process_dies_each_time_ends_escalated_with_its_history(
    cluster: NodeCluster, shared: NodeProcess
) -> None:
    bug = cluster.submit({"crash": True})

    record = cluster.wait(bug)

    assert record.state is BugState.ESCALATED
    assert record.attempts == cluster.settings.max_attempts
    assert [entry["reason"] for entry in record.history] == ["the engine's process died"] * 3


def test_a_killed_engine_runs_again_from_its_checkpoint(
    cluster: NodeCluster, shared: NodeProcess, tmp_path: Path
) -> None:
    note = str(tmp_path / "note")
    Path(note).touch()
    bug = cluster.submit(
        {"note": note, "phase": "REPRO"}, {"note": note, "phase": "PATCH", "sleep_s": 2.5}
    )
    wait_until("its second step", lambda: len(Path(note).read_text().splitlines()) == 2)
    wait_until("its checkpoint is kept", lambda: cluster.store.bug(bug).phase == "REPRO")
    for host in shared.engine_hosts():
        host.kill()

    record = cluster.wait(bug)

    assert record.state is BugState.DONE
    assert record.outcome["resumed_after"] == 1
    assert (record.runs, record.attempts) == (2, 1)


def test_a_killed_pool_process_costs_neither_bug_nor_capacity(
    cluster: NodeCluster, shared: NodeProcess, mark: str
) -> None:
    before = len(shared.pool())
    bug = cluster.submit({"children": mark, "sleep_s": FOR_EVER})
    wait_until("its children run", lambda: len(having(mark)) == 2)
    first = set(having(mark))
    keeper = next(child for child in shared.pool() if any(child.children()) and _runs(child, mark))

    keeper.kill()
    cluster.running(bug, run=2)

    wait_until("the first run's children are gone", lambda: not first & set(having(mark)))
    wait_until("the pool is whole again", lambda: len(shared.pool()) == before)
    cluster.manager.handle(bug).cancel()
    cluster.wait(bug)
    wait_until("nothing of it is left", lambda: having(mark) == [])


def _runs(child: psutil.Process, mark: str) -> bool:
    return any(mark in below.cmdline() for below in child.children(recursive=True))


def test_a_terminated_node_ends_its_bugs_and_leaves_nothing(
    cluster: NodeCluster, mark: str
) -> None:
    only_here = dataclasses.replace(cluster.settings, capabilities=frozenset({"polite"}))
    with nodes(only_here, cluster.store, cluster.folder, "polite@here") as (node,):
        bug = cluster.submit(
            {"sleep_s": 2, "children": mark}, requires=frozenset({"polite"}), id="polite"
        )
        cluster.running(bug)

        status = node.terminate()

        record = cluster.wait(bug)
        assert (record.state, record.runs, record.losses) == (BugState.DONE, 1, 0)
        assert status == 0
        assert node.state() is WorkerState.OFFLINE
        assert having(mark) == []


def test_a_live_duplicate_of_a_name_is_refused(cluster: NodeCluster, shared: NodeProcess) -> None:
    folder = cluster.folder / "second"
    folder.mkdir()

    second = start_node(cluster.settings, cluster.store, shared.name, folder, wait=False)
    second.process.wait(timeout=30)

    assert "a live node has this name" in second.log.read_text()
    assert second.process.returncode != 0
    assert cluster.wait(cluster.submit({})).worker_id == shared.name


def test_a_node_that_cannot_write_in_its_folder_says_so_and_ends(cluster: NodeCluster) -> None:
    folder = cluster.folder / "unwritable"
    folder.mkdir()
    (folder / "a-file").touch()
    settings = dataclasses.replace(cluster.settings, work_dir=str(folder / "a-file"))

    node = start_node(settings, cluster.store, "n2@here", folder, wait=False)

    assert node.process.wait(timeout=30) == 2
    said = (
        f"FIXWURX_WORK_DIR={folder}/a-file cannot be worked in as user {os.getuid()}: File exists"
    )
    assert said in node.log.read_text()
    assert "Traceback" not in node.log.read_text()
    assert node.state() is None


def test_a_killed_node_loses_no_bug_and_leaves_no_process(
    cluster: NodeCluster, shared: NodeProcess, mark: str, tmp_path: Path
) -> None:
    with nodes(cluster.settings, cluster.store, cluster.folder, "doomed@here") as (node,):
        hang = {"children": mark, "sleep_s": FOR_EVER}
        bugs = [cluster.submit(hang, agents=2) for _ in range(4)]
        held = [bug for bug in bugs if cluster.running(bug).worker_id == node.name]
        assert held, "no bug went to the node that is killed"
        wait_until("all children run", lambda: len(having(mark)) == 8)

        node.kill()

        for bug in held:
            again = cluster.running(bug, run=2)
            assert again.worker_id == shared.name
            assert (again.losses, again.attempts) == (1, 0)
        assert node.state() is WorkerState.OFFLINE
    for bug in bugs:
        cluster.manager.handle(bug).cancel()
        cluster.wait(bug)
    wait_until("nothing of them is left", lambda: having(mark) == [])


def test_a_frozen_node_is_failed_over_and_joins_again(
    cluster: NodeCluster, shared: NodeProcess, mark: str
) -> None:
    with nodes(cluster.settings, cluster.store, cluster.folder, "frozen@here") as (node,):
        hang = {"children": mark, "sleep_s": FOR_EVER}
        bugs = [cluster.submit(hang, agents=2) for _ in range(4)]
        held = [bug for bug in bugs if cluster.running(bug).worker_id == node.name]
        assert held, "no bug went to the node that is frozen"
        old = {child.pid for child in psutil.Process(node.process.pid).children(recursive=True)}
        old &= set(having(mark))
        everything = [psutil.Process(node.process.pid), *node.pool(), *node.engine_hosts()]
        for process in everything:
            os.kill(process.pid, signal.SIGSTOP)

        for bug in held:
            assert cluster.running(bug, run=2).worker_id == shared.name
        for process in everything:
            with contextlib.suppress(ProcessLookupError):  # one that thawed first has ended it
                os.kill(process.pid, signal.SIGCONT)

        wait_until("it serves again", lambda: node.state() is WorkerState.READY, within_s=20)
        wait_until("its old runs are gone", lambda: not old & set(having(mark)), within_s=20)
        for bug in bugs:
            cluster.manager.handle(bug).cancel()
            cluster.wait(bug)
    wait_until("nothing of them is left", lambda: having(mark) == [])


def test_a_node_that_wakes_when_its_name_is_taken_ends_and_leaves_the_other_alone(
    cluster: NodeCluster,
) -> None:
    with nodes(cluster.settings, cluster.store, cluster.folder, "one@here") as (first,):
        stopped = [first.process.pid, *(child.pid for child in first.pool())]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        wait_until(
            "it is lost", lambda: first.state() is WorkerState.OFFLINE, within_s=FOR_EVER / 20
        )
        folder = cluster.folder / "heir"
        folder.mkdir()
        heir = start_node(cluster.settings, cluster.store, first.name, folder)
        try:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)

            assert first.process.wait(timeout=30) == 0
            assert "another node has taken its name" in first.log.read_text()
            assert heir.state() is WorkerState.READY
        finally:
            heir.terminate()
