"""Every signal, to every target, at work and without: what becomes of bug, node and host.

The table is `FATES`. What operators read says the same.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.domain.nodes import WorkerState
from tests.support.live_cluster import LiveCluster, LongBug
from tests.support.processes import NodeProcess
from tests.support.waiting import wait_until

SIGNALS = ("TERM", "TERM TERM", "QUIT", "INT", "KILL")
TARGETS = ("main", "pool", "group")

BETWEEN_TWO_S = 0.7
"""Signals that are closer together are one order."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What a signal does."""

    node_status: int | None  # None: it stays in service
    bug: str  # ends there | moves: to another node | again: wherever there is room first
    attempts: int = 0
    losses: int = 0


STAYS = Fate(None, "ends there")
FATES = {
    ("TERM", "main"): Fate(0, "ends there"),
    ("TERM TERM", "main"): Fate(0, "moves"),
    ("QUIT", "main"): Fate(0, "moves"),
    ("INT", "main"): Fate(1, "ends there"),
    ("KILL", "main"): Fate(-9, "moves", losses=1),
    ("TERM", "pool"): Fate(None, "again", attempts=1),
    ("TERM TERM", "pool"): Fate(None, "again", attempts=1),
    ("QUIT", "pool"): Fate(None, "again", attempts=1),
    ("INT", "pool"): STAYS,
    ("KILL", "pool"): Fate(None, "again", attempts=1),
    ("TERM", "group"): Fate(0, "ends there"),
    ("TERM TERM", "group"): Fate(0, "moves"),
    ("QUIT", "group"): Fate(0, "moves"),
    ("INT", "group"): Fate(1, "ends there"),
    ("KILL", "group"): Fate(-9, "moves", losses=1),
}
USUAL = {
    ("TERM", "main", "busy"),
    ("TERM TERM", "main", "busy"),
    ("QUIT", "main", "busy"),
    ("TERM", "group", "busy"),
    ("TERM", "pool", "busy"),
    ("KILL", "pool", "idle"),
}
"""What operators and their tools do every day; the other cells are in the slow tier."""


def cells(*targets: str) -> list[object]:
    return [
        pytest.param(
            name, target, load,
            id=f"{name.replace(' ', '-')}-{target}-{load}",
            marks=[] if (name, target, load) in USUAL else [pytest.mark.slow],
        )
        for target in targets
        for name in SIGNALS
        for load in ("idle", "busy")
    ]  # fmt: skip


@pytest.fixture(scope="module")
def cluster(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    made = LiveCluster(tmp_path_factory.mktemp("signals"), redis_url=redis_url)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _no_bug_is_left(cluster: LiveCluster) -> Iterator[None]:
    yield
    cluster.cancel_all()


@pytest.fixture(scope="module")
def other(cluster: LiveCluster) -> Iterator[NodeProcess]:
    """The node to which bugs move."""
    with cluster.node("other@here") as node:
        yield node


@pytest.fixture(scope="module")
def lasting(cluster: LiveCluster) -> Iterator[NodeProcess]:
    """The node whose pool processes get signals."""
    with cluster.node("lasting@here") as node:
        yield node


def long_bug_on(node: NodeProcess, other: NodeProcess, cluster: LiveCluster) -> LongBug:
    cluster.store.drain(other.name, 600)
    try:
        bug = cluster.long_bug()
    finally:
        cluster.connection.ring(cluster.store.resume(other.name))
    assert bug.record().worker_id == node.name
    return bug


def send(names: str, *pids: int, to_group: bool = False) -> None:
    for number, name in enumerate(names.split()):
        if number:
            time.sleep(BETWEEN_TWO_S)
        for pid in pids:
            (os.killpg if to_group else os.kill)(pid, signal.Signals[f"SIG{name}"])


@pytest.mark.parametrize(("names", "target", "load"), cells("main", "group"))
def test_signals_to_a_node(
    cluster: LiveCluster, other: NodeProcess, names: str, target: str, load: str
) -> None:
    fate = FATES[names, target]
    name = f"{names.replace(' ', '-')}-{target}-{load}@here".lower()
    with cluster.node(name) as node:
        bug = long_bug_on(node, other, cluster) if load == "busy" else None
        first_run = bug.processes() if bug else set()

        send(names, node.process.pid, to_group=target == "group")

        if bug and fate.bug == "moves":
            again = bug.runs_again()
            assert again.worker_id == other.name
            if fate.node_status == 0:
                assert not first_run & bug.processes()
        if bug and fate.bug == "ends there":
            cluster.waits_for(WorkerState.STOPPING, name)
        if bug:
            record = bug.end()
            assert (record.attempts, record.losses) == (fate.attempts, fate.losses)
            assert record.state is BugState.DONE
            assert record.runs == (1 if fate.bug == "ends there" else 2)
            assert record.outcome["resumed_after"] == record.runs - 1
        assert node.process.wait(timeout=20) == fate.node_status
        cluster.waits_for(WorkerState.OFFLINE, name)
        wait_until("nothing of it is left", lambda: not cluster.left_of(node), within_s=15)
        assert not bug or not bug.processes()


@pytest.mark.parametrize(("names", "target", "load"), cells("pool"))
def test_signals_to_a_pool_process(
    cluster: LiveCluster,
    other: NodeProcess,
    lasting: NodeProcess,
    names: str,
    target: str,
    load: str,
) -> None:
    fate = FATES[names, target]
    stays = fate.bug == "ends there"
    wait_until("the pool is whole", lambda: len(lasting.pool()) == 4)
    before = {process.pid for process in lasting.pool()}
    bug = long_bug_on(lasting, other, cluster) if load == "busy" else None
    first_run = bug.processes() if bug else set()
    keeper = next(
        process.pid
        for process in lasting.pool()
        if not bug or first_run & {child.pid for child in process.children(recursive=True)}
    )

    for name in names.split():
        with contextlib.suppress(ProcessLookupError):
            send(name, keeper)

    if bug and not stays:
        bug.runs_again(within_s=5)
        wait_until("its first run is gone", lambda: not first_run & bug.processes())
    if bug:
        record = bug.end()
        assert (record.attempts, record.losses) == (fate.attempts, fate.losses)
        assert record.state is BugState.DONE
        assert record.outcome["resumed_after"] == (0 if stays else 1)
    if not stays:
        wait_until("it is gone", lambda: not psutil.pid_exists(keeper))
    wait_until("the pool is whole", lambda: len(lasting.pool()) == 4)
    assert ({process.pid for process in lasting.pool()} == before) == stays
    assert cluster.seen(lasting.name).state is WorkerState.READY
