"""Nodes on their way out, in all weathers: what is promised to the bugs they hold."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from fixwurx_celery.broker import make_app
from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.domain.nodes import WorkerState
from fixwurx_celery.errors import StoreUnavailable
from tests.support.live_cluster import LiveCluster
from tests.support.processes import NodeProcess, freeze, start_node
from tests.support.rabbitmq import NoRabbitMQ, RabbitMQ, start_rabbitmq
from tests.support.server import NoServer, Server, start_server
from tests.support.waiting import wait_until

ENDS_WITHIN_S = 20.0
"""After the grace time, whatever hangs."""


@pytest.fixture
def cluster(redis_url: str, tmp_path: Path) -> Iterator[LiveCluster]:
    made = LiveCluster(tmp_path, redis_url=redis_url)
    yield made
    made.cancel_all()
    made.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, to be killed and frozen."""
    try:
        started = start_server(tmp_path / "server", append_only=True)
    except NoServer as error:
        pytest.skip(str(error))
    with started:
        yield started
        thaw(started)


@pytest.fixture
def own_rabbitmq(tmp_path: Path) -> Iterator[RabbitMQ]:
    """Likewise a RabbitMQ."""
    try:
        started = start_rabbitmq(tmp_path / "rabbitmq")
    except NoRabbitMQ as error:
        pytest.skip(str(error))
    with started:
        yield started


def thaw(server: Server) -> None:
    if server.process is not None:
        os.kill(server.process.pid, signal.SIGCONT)


def ends(node: NodeProcess, within_s: float = ENDS_WITHIN_S) -> int:
    """Its exit status. Ten seconds are the machine's, not the node's."""
    return node.process.wait(timeout=within_s + 10)


# -- time ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_node_beats_as_long_as_it_drains(cluster: LiveCluster) -> None:
    with cluster.node("slow@here") as node:
        bug = cluster.long_bug()
        node.process.terminate()
        cluster.waits_for(WorkerState.STOPPING, node.name)

        until = time.monotonic() + cluster.settings.heartbeat_timeout_sec + 2
        beats = set()
        while time.monotonic() < until:
            snapshot = cluster.store.snapshot()
            (seen,) = snapshot.nodes
            assert seen.state is WorkerState.STOPPING
            age_s = snapshot.now_ms / 1000 - seen.last_heartbeat
            assert age_s < cluster.settings.heartbeat_timeout_sec
            beats.add(seen.last_heartbeat)
            time.sleep(0.1)

        assert len(beats) > 5
        record = bug.end()
        assert (record.state, record.runs, bug.charged()) == (BugState.DONE, 1, (0, 0))
        assert ends(node) == 0


def test_what_still_runs_after_the_grace_time_moves_uncharged(cluster: LiveCluster) -> None:
    with cluster.node("first@here", drain_timeout_sec=1) as node, cluster.node("next@here") as heir:
        cluster.store.drain(heir.name, 600)
        bug = cluster.long_bug()
        cluster.store.resume(heir.name)
        first_run = bug.processes()

        node.process.terminate()

        again = bug.runs_again()
        assert not first_run & bug.processes()
        assert (again.worker_id, bug.charged()) == (heir.name, (0, 0))
        assert ends(node) == 0
        assert bug.end().outcome["resumed_after"] == 1


@pytest.mark.slow
def test_bugs_with_nowhere_to_go_wait_for_the_next_node(cluster: LiveCluster) -> None:
    with ExitStack() as stack:
        pair = [stack.enter_context(cluster.node(f"{n}@here", drain_timeout_sec=1)) for n in "ab"]
        bugs = [cluster.long_bug() for _ in pair]
        waiting = cluster.submit({})

        for node in pair:
            node.process.terminate()

        assert [ends(node) for node in pair] == [0, 0]
        assert [bug.record().state for bug in bugs] == [BugState.PENDING] * 2
        with cluster.node("next@here", total_agents=9):
            for bug in bugs:
                assert bug.runs_again().worker_id == "next@here"
                assert bug.charged() == (0, 0)
                bug.end()
            wait_until(
                "the bug that waited is done",
                lambda: cluster.store.bug(waiting).state is BugState.DONE,
            )


# -- by whom -------------------------------------------------------------------------------


def test_celerys_shutdown_order_drains(cluster: LiveCluster) -> None:
    with cluster.node("remote@here") as node:
        bug = cluster.long_bug()

        make_app(cluster.settings).control.shutdown(destination=[node.name])

        cluster.waits_for(WorkerState.STOPPING, node.name)
        record = bug.end()
        assert (record.state, record.runs, bug.charged()) == (BugState.DONE, 1, (0, 0))
        assert ends(node) == 0
        assert cluster.seen(node.name).state is WorkerState.OFFLINE


@pytest.mark.slow
def test_celerys_terminate_order_moves_the_bug_uncharged(cluster: LiveCluster) -> None:
    with cluster.node("told@here"):
        bug = cluster.long_bug()
        task_id = f"{bug.id}:{bug.record().epoch}"

        make_app(cluster.settings).control.revoke(task_id, terminate=True)

        bug.runs_again()
        assert bug.charged() == (0, 0)
        assert bug.end().outcome["resumed_after"] == 1


@pytest.mark.slow
def test_a_node_drained_by_the_command_line_is_brought_back_by_it(cluster: LiveCluster) -> None:
    with cluster.node("steered@here") as node:
        bug = cluster.long_bug(agents=2)

        assert "still runs 1" in cluster.cli("node", "drain", "steered", "--grace", "600")
        waiting = cluster.submit({}, agents=1)
        assert cluster.store.bug(waiting).state is BugState.PENDING
        assert "takes bugs again" in cluster.cli("node", "resume", "steered")

        cluster.manager.handle(waiting).wait(timeout=20)
        record = bug.end()
        assert (record.state, record.runs, bug.charged()) == (BugState.DONE, 1, (0, 0))
        assert node.process.poll() is None


@pytest.mark.slow
def test_a_node_that_ends_is_not_brought_back(cluster: LiveCluster) -> None:
    with cluster.node("ending@here") as node:
        bug = cluster.long_bug(agents=2)
        node.process.terminate()
        cluster.waits_for(WorkerState.STOPPING, node.name)

        cluster.cli("node", "resume", "ending")

        cluster.waits_for(WorkerState.STOPPING, node.name)
        assert bug.end().state is BugState.DONE
        assert ends(node) == 0


@pytest.mark.slow
def test_a_reservation_lasts_for_the_grace_time_of_its_node(cluster: LiveCluster) -> None:
    with cluster.node("reserved@here") as node:
        manager = cluster.manager
        assert manager.allocate("held")

        cluster.cli("node", "drain", "reserved", "--grace", "2")
        assert manager.has("held")
        assert not manager.allocate("another")
        wait_until("it is released", lambda: not manager.has("held"))

        assert cluster.seen(node.name).free_agents == 3
        cluster.cli("node", "resume", "reserved")
        assert manager.allocate("another")
        assert node.terminate() == 0
        assert not manager.has("another")


# -- signals that come otherwise than one to one process -----------------------------------------


@pytest.mark.slow
def test_the_same_signal_twice_in_a_moment_is_one_order(cluster: LiveCluster) -> None:
    with cluster.node("wrapped@here") as node:  # timeout(1) does this
        bug = cluster.long_bug()

        os.kill(node.process.pid, signal.SIGTERM)
        os.killpg(node.process.pid, signal.SIGTERM)

        cluster.waits_for(WorkerState.STOPPING, node.name)
        record = bug.end()
        assert (record.state, record.runs, bug.charged()) == (BugState.DONE, 1, (0, 0))
        assert ends(node) == 0


@pytest.mark.slow
def test_a_node_that_is_the_first_process_of_a_container_drains(
    cluster: LiveCluster, tmp_path: Path
) -> None:
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child=KILL"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("this user may make no namespace of processes")
    node = start_node(cluster.settings, cluster.store, "boxed@here", tmp_path, before=unshare)
    try:
        bug = cluster.long_bug()
        (main,) = psutil.Process(node.process.pid).children()

        main.terminate()

        cluster.waits_for(WorkerState.STOPPING, node.name)
        record = bug.end()
        assert (record.state, record.runs, bug.charged()) == (BugState.DONE, 1, (0, 0))
        assert ends(node) == 0
        assert cluster.seen(node.name).state is WorkerState.OFFLINE
    finally:
        node.process.kill()
        node.process.wait()


@pytest.mark.slow
def test_a_signal_to_everything_on_the_host_moves_bugs_uncharged(cluster: LiveCluster) -> None:
    with cluster.node("swept@here") as node:  # systemd does this unless told otherwise
        bug = cluster.long_bug()
        main = psutil.Process(node.process.pid)

        for process in [main, *main.children(recursive=True)]:
            process.terminate()

        assert ends(node) == 0
        assert (bug.record().state, bug.charged()) == (BugState.PENDING, (0, 0))
        wait_until("nothing of it is left", lambda: not cluster.left_of(node))
        assert not bug.processes()


# -- without store or broker -----------------------------------------------------------------


def test_a_drain_is_ordered_as_soon_as_the_store_is_back(tmp_path: Path, server: Server) -> None:
    cluster = LiveCluster(tmp_path, redis_url=server.url, lease_sec=30)
    with cluster.node("patient@here") as node:
        bug = cluster.long_bug()
        server.kill()
        node.process.terminate()
        wait_until("it has heard", lambda: "Warm shutdown" in node.log.read_text())
        server.start()

        cluster.waits_for(WorkerState.STOPPING, node.name)
        record = bug.end()
        assert (record.state, record.runs, bug.charged()) == (BugState.DONE, 1, (0, 0))
        assert ends(node) == 0
    cluster.close()


@pytest.mark.slow
def test_what_ended_without_a_store_is_told_by_the_next_node(
    tmp_path: Path, server: Server
) -> None:
    cluster = LiveCluster(tmp_path, redis_url=server.url, lease_sec=60, heartbeat_timeout_sec=60)
    with cluster.node("mute@here", drain_timeout_sec=4) as node:
        done, moved = cluster.long_bug(agents=1), cluster.long_bug(agents=1)
        server.kill()
        node.process.terminate()
        done.gate.touch()

        assert ends(node, 4 + ENDS_WITHIN_S) == 0
    assert not done.processes() | moved.processes()
    server.start()
    wait_until("the store has its data again", lambda: _is_up(cluster))
    with cluster.node("mute@here"):
        wait_until("it is told", lambda: done.record().state is BugState.DONE)
        assert done.record().runs == 1
        assert moved.runs_again()
        assert done.charged() == moved.charged() == (0, 0)
        moved.end()
    cluster.close()


def _is_up(cluster: LiveCluster) -> bool:
    try:
        return cluster.store.snapshot() is not None
    except StoreUnavailable:
        return False


@pytest.mark.slow
def test_a_node_ends_while_the_store_is_frozen(tmp_path: Path, server: Server) -> None:
    cluster = LiveCluster(tmp_path, redis_url=server.url, lease_sec=60, heartbeat_timeout_sec=60)
    with cluster.node("stuck@here", drain_timeout_sec=2) as node:
        bug = cluster.long_bug()
        assert server.process is not None
        freeze(server.process.pid)

        node.process.terminate()

        assert ends(node, 2 + ENDS_WITHIN_S) == 1
        wait_until("its processes are gone", lambda: not bug.processes())
    thaw(server)
    with cluster.node("stuck@here"):
        assert bug.runs_again()
        assert bug.charged() == (0, 0)
        bug.end()
    cluster.close()


def without(broker: Server | RabbitMQ, weather: str) -> None:
    if weather == "dead":
        broker.kill()
    else:
        assert broker.process is not None
        freeze(broker.process.pid)


@pytest.mark.slow
@pytest.mark.parametrize(("weather", "status"), [("dead", 0), ("frozen", 1)])
@pytest.mark.parametrize(
    "broker", ["server", pytest.param("own_rabbitmq", marks=pytest.mark.rabbitmq)]
)
def test_a_node_ends_without_a_broker(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    redis_url: str,
    broker: str,
    weather: str,
    status: int,
) -> None:
    its_broker = request.getfixturevalue(broker)
    cluster = LiveCluster(tmp_path, redis_url=redis_url, broker_url=its_broker.url)
    with cluster.node("unheard@here") as node:
        bug = cluster.long_bug()
        without(its_broker, weather)

        node.process.terminate()

        cluster.waits_for(WorkerState.STOPPING, node.name)
        record = bug.end()
        assert (record.state, record.runs, bug.charged()) == (BugState.DONE, 1, (0, 0))
        assert ends(node) == status
        assert cluster.seen(node.name).state is WorkerState.OFFLINE
    cluster.close()
