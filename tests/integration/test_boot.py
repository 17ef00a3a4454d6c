"""A node that starts while its store is away, and its broker is not."""

import dataclasses
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.own_cluster import OwnCluster
from tests.support.processes import NodeProcess, start_node
from tests.support.server import NoServer, Server, start_server
from tests.support.waiting import wait_until


@pytest.fixture
def store_server(tmp_path: Path) -> Iterator[Server]:
    try:
        with start_server(tmp_path / "store", append_only=True) as server:
            yield server
    except NoServer as error:
        pytest.skip(str(error))


@pytest.fixture
def waiting(redis_url: str, store_server: Server, tmp_path: Path) -> Iterator[NodeProcess]:
    """A node that asks for its store."""
    cluster = OwnCluster(store_server, tmp_path)
    settings = dataclasses.replace(cluster.settings, broker_url=redis_url)
    store_server.kill()
    node = start_node(settings, cluster.store, "early@here", tmp_path, wait=False)
    wait_until(
        "it waits for the store", lambda: "waits for the store" in node.log.read_text(), within_s=40
    )
    yield node
    if node.process.poll() is None:
        node.terminate()
    cluster.close()


def test_it_serves_as_soon_as_the_store_is_there(
    waiting: NodeProcess, store_server: Server
) -> None:
    store_server.start()

    wait_until("it serves", lambda: waiting.state() is not None, within_s=15)
    assert waiting.process.poll() is None


def test_it_ends_when_it_is_told_to_meanwhile(waiting: NodeProcess) -> None:
    waiting.process.send_signal(signal.SIGTERM)

    assert waiting.process.wait(timeout=30) == 0
