"""The broker goes away in every way a broker can. It is not the store, which stays."""

import contextlib
import dataclasses
import json
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from fixwurx_celery.broker import Doorbells, make_app, node_queue
from fixwurx_celery.domain.bugs import Assignment, BugState
from fixwurx_celery.domain.nodes import WorkerState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store.invariants import violations
from tests.support.node_cluster import NodeCluster
from tests.support.processes import NodeProcess, nodes, start_node
from tests.support.rabbitmq import RabbitMQ
from tests.support.redis_broker import RedisBroker, start_redis_broker
from tests.support.server import NoServer
from tests.support.surroundings import environment
from tests.support.waiting import wait_until

Broker = RabbitMQ | RedisBroker
Outage = Callable[[Any], contextlib.AbstractContextManager[None]]

NODES = ("one@here", "two@here")
STEPS = 3
FROZEN_S = 11
BACK_WITHIN_S = 5
PATIENCE_S = 10


@contextmanager
def stopped(broker: Broker) -> Iterator[None]:
    broker.stop()
    yield
    broker.resume()


@contextmanager
def killed(broker: Broker) -> Iterator[None]:
    broker.kill()
    yield
    broker.start()


@contextmanager
def frozen(broker: Broker) -> Iterator[None]:
    broker.freeze()
    until = time.monotonic() + FROZEN_S
    yield
    wait_until("it was frozen for long", lambda: time.monotonic() > until, within_s=FROZEN_S + 5)
    broker.thaw()


@contextmanager
def dropped(broker: Broker) -> Iterator[None]:
    broker.drop_connections()
    yield


@contextmanager
def emptied(broker: RedisBroker) -> Iterator[None]:
    broker.flush()
    yield
    broker.flush()


@contextmanager
def out_of_memory(broker: RabbitMQ) -> Iterator[None]:
    """It blocks whoever publishes, and delivers on."""
    broker.control("set_vm_memory_high_watermark", "0.00001")
    yield
    broker.control("set_vm_memory_high_watermark", "0.4")


RABBITMQ = pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)
REDIS = pytest.param("redis", marks=pytest.mark.slow)
with_rabbitmq = pytest.mark.parametrize("broker", [RABBITMQ], indirect=True)
with_redis = pytest.mark.parametrize("broker", [REDIS], indirect=True)


@pytest.fixture(scope="module", params=[RABBITMQ, REDIS])
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Broker]:
    """A broker beside the store. Tests leave it running."""
    if request.param == "rabbitmq":
        yield request.getfixturevalue("rabbitmq")
        return
    try:
        server = start_redis_broker(tmp_path_factory.mktemp("broker"))
    except NoServer as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture(scope="module")
def cluster(
    broker: Broker, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NodeCluster]:
    folder = tmp_path_factory.mktemp("cluster")
    settings = Settings(
        redis_url=redis_url,
        broker_url=broker.url,
        namespace=f"t{uuid.uuid4().hex[:12]}",
        engine="tests.support.engines:Scripted",
        work_dir=str(folder / "work"),
        total_agents=8,
        heartbeat_interval_sec=0.3,
        heartbeat_timeout_sec=10,
        lease_sec=5,
        ring_after_sec=1,
        backoff_sec=0.2,
    )
    made = NodeCluster(settings, folder)
    yield made
    made.connection.close()


@pytest.fixture(scope="module")
def two_nodes(cluster: NodeCluster) -> Iterator[list[NodeProcess]]:
    """The nodes live through all outages of a broker, one after the other."""
    with nodes(cluster.settings, cluster.store, cluster.folder, *NODES) as started:
        yield started


class Notes:
    """What engines wrote, where nothing but a test reads it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "notes"
        self.file.touch()

    def steps(self) -> list[dict[str, Any]]:
        """Of a bug that takes three seconds."""
        return [{"note": str(self.file), "sleep_s": 1} for _ in range(STEPS)]

    def counted(self) -> Counter[tuple[str, int]]:
        """How often each step of each bug was taken."""
        lines = map(json.loads, self.file.read_text().splitlines())
        return Counter((line["bug"], line["step"]) for line in lines)


@pytest.mark.parametrize("outage", [stopped, killed, frozen, dropped])
def test_an_outage_of_the_broker_costs_time_and_nothing_else(
    broker: Broker,
    outage: Outage,
    cluster: NodeCluster,
    two_nodes: list[NodeProcess],
    tmp_path: Path,
) -> None:
    outlive(outage(broker), cluster, two_nodes, Notes(tmp_path))


@with_rabbitmq
def test_an_alarm_of_the_broker_costs_time_and_nothing_else(
    broker: RabbitMQ, cluster: NodeCluster, two_nodes: list[NodeProcess], tmp_path: Path
) -> None:
    outlive(out_of_memory(broker), cluster, two_nodes, Notes(tmp_path))


@with_redis
def test_the_loss_of_all_that_the_broker_holds_costs_time_and_nothing_else(
    broker: RedisBroker, cluster: NodeCluster, two_nodes: list[NodeProcess], tmp_path: Path
) -> None:
    outlive(emptied(broker), cluster, two_nodes, Notes(tmp_path))


def outlive(
    outage: contextlib.AbstractContextManager[None],
    cluster: NodeCluster,
    two_nodes: list[NodeProcess],
    notes: Notes,
) -> None:
    """Has bugs running, waiting for agents, and submitted while the broker is away."""
    running = [cluster.submit(*notes.steps()) for _ in range(4)]
    for bug in running:
        cluster.running(bug)
    waiting = [cluster.submit(*notes.steps()) for _ in range(4)]

    with outage:
        began = time.monotonic()
        # For these there is room: it is this process that rings.
        waiting += [cluster.submit(*notes.steps(), agents=1) for _ in range(4)]
        submitting_s = time.monotonic() - began
        for bug in running:
            assert cluster.wait(bug, within_s=15).state is BugState.DONE
    back = time.monotonic()

    for node in two_nodes:
        hears(node, cluster)
    print(f"submitting {submitting_s:.2f} s, consuming after {time.monotonic() - back:.2f} s")
    assert submitting_s < PATIENCE_S
    every = running + waiting
    for bug in every:
        record = cluster.wait(bug, within_s=40)
        assert (record.state, record.runs) == (BugState.DONE, 1)
        assert (record.attempts, record.losses) == (0, 0)
    print(f"all done after {time.monotonic() - back:.2f} s")
    assert notes.counted() == {(bug, step): 1 for bug in every for step in range(STEPS)}
    assert violations(cluster.store, patience_s=2) == []
    for node in two_nodes:
        assert "begins anew" not in node.log.read_text()


def hears(node: NodeProcess, cluster: NodeCluster) -> None:
    """Rings the node for a bug that is none of its own, and waits until it takes the message."""
    bell = Assignment(node.name, f"nothing-{uuid.uuid4().hex}", 1)
    bells = Doorbells(make_app(cluster.settings))
    assert bells.ring([bell])
    bells.close()
    wait_until(
        f"{node.name} consumes",
        lambda: bell.bug_id in node.log.read_text(),
        within_s=BACK_WITHIN_S,
    )


def test_a_killed_node_leaves_no_queue(
    broker: Broker, cluster: NodeCluster, two_nodes: list[NodeProcess]
) -> None:
    with nodes(cluster.settings, cluster.store, cluster.folder, "doomed@here") as (doomed,):
        assert any(doomed.name in queue for queue in broker.queues())

        doomed.kill()

        wait_until(
            "nothing on the broker has its name",
            lambda: not any(doomed.name in queue for queue in broker.queues()),
            within_s=30,
        )


@with_rabbitmq
def test_a_node_that_hangs_and_is_killed_once_it_is_forgotten_leaves_no_queue(
    broker: RabbitMQ, cluster: NodeCluster, two_nodes: list[NodeProcess]
) -> None:
    """Its queue is consumed when the others forget it, so that they cannot delete it."""
    with nodes(cluster.settings, cluster.store, cluster.folder, "hanging@here") as (hanging,):
        queue = node_queue(hanging.name).name
        wait_until("it consumes its queue", lambda: queue in broker.consumed())
        for process in (psutil.Process(hanging.process.pid), *hanging.pool()):
            process.suspend()
        wait_until("it is lost", lambda: hanging.state() is WorkerState.OFFLINE, within_s=30)
        assert queue in broker.queues()

        hanging.kill()

        wait_until(
            "nothing on the broker has its name",
            lambda: not any(hanging.name in queue for queue in broker.queues()),
            within_s=30,
        )


@with_rabbitmq
def test_a_node_takes_over_the_name_of_one_that_hangs(
    broker: RabbitMQ, cluster: NodeCluster, two_nodes: list[NodeProcess]
) -> None:
    """The broker does not know yet that the one that hangs reads its mailbox no more."""
    with nodes(cluster.settings, cluster.store, cluster.folder, "heir@here") as (hanging,):
        mailbox = f"{hanging.name}.celery.pidbox"
        wait_until("it reads its mailbox", lambda: mailbox in broker.consumed())
        for process in (psutil.Process(hanging.process.pid), *hanging.pool()):
            process.suspend()
        folder = cluster.folder / "heir"
        folder.mkdir()

        heir = start_node(cluster.settings, cluster.store, hanging.name, folder, wait=False)

        try:
            wait_until(
                f"it is ready; its log: {heir.log}",
                lambda: f"{heir.name} ready." in heir.log.read_text(),
                within_s=40,
            )
        finally:
            heir.kill()


@with_rabbitmq
def test_the_queue_of_a_live_node_is_never_deleted(
    broker: Broker, cluster: NodeCluster, two_nodes: list[NodeProcess]
) -> None:
    bells = Doorbells(make_app(cluster.settings))

    assert not bells.forget("one@here")

    assert node_queue("one@here").name in broker.queues()
    assert bells.ring([Assignment("one@here", "unknown", 1)])
    bells.close()


def test_ringing_at_a_hung_broker_says_no_in_bounded_time(
    broker: Broker, cluster: NodeCluster
) -> None:
    says_no_in_bounded_time(frozen(broker), cluster)


@with_rabbitmq
def test_ringing_at_a_broker_that_blocks_publishers_says_no_in_bounded_time(
    broker: RabbitMQ, cluster: NodeCluster
) -> None:
    says_no_in_bounded_time(out_of_memory(broker), cluster)


def says_no_in_bounded_time(
    outage: contextlib.AbstractContextManager[None], cluster: NodeCluster
) -> None:
    bells, bell = Doorbells(make_app(cluster.settings)), Assignment("nobody@here", "b", 1)
    assert bells.ring([bell])

    with outage:
        began = time.monotonic()
        answers = [bells.ring([bell]) for _ in range(100)]
        took_s = time.monotonic() - began
    bells.close()

    assert not any(answers)
    assert took_s < PATIENCE_S


@with_rabbitmq
def test_ticks_that_nobody_takes_do_not_pile_up(
    broker: RabbitMQ, settings: Settings, tmp_path: Path
) -> None:
    quick = dataclasses.replace(settings, health_check_interval_sec=0.2, broker_url=broker.url)
    log = (tmp_path / "beat.log").open("wb")
    beat = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "fixwurx_celery.controller", "beat",
         "-s", str(tmp_path / "schedule"), "--pidfile", "", "-l", "DEBUG"],
        env=environment(quick),
        stdout=log, stderr=log,
    )  # fmt: skip
    try:
        wait_until(
            "beat has sent ten",
            lambda: (tmp_path / "beat.log").read_text().count("Sending due task") >= 10,
            within_s=40,
        )

        def left() -> list[int]:
            lines = broker.control("list_queues", "name", "messages").splitlines()
            return [int(line.split()[1]) for line in lines if line.startswith("fixwurx.control")]

        wait_until("those sent are gone", lambda: left() and max(left()) <= 3, within_s=10)
    finally:
        beat.kill()
        beat.wait(timeout=10)
        log.close()
