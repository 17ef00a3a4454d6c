"""A namespace with real nodes for each module that asks for it."""

import uuid
from collections.abc import Iterator

import pytest

from fixwurx_celery.settings import Settings
from tests.support.node_cluster import NodeCluster
from tests.support.processes import NodeProcess, nodes


@pytest.fixture(
    scope="module", params=["store", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)]
)
def cluster(
    request: pytest.FixtureRequest, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NodeCluster]:
    """A client of a namespace of this module's own. The broker is the store, or RabbitMQ."""
    folder = tmp_path_factory.mktemp("cluster")
    settings = Settings(
        redis_url=redis_url,
        broker_url=request.getfixturevalue("rabbitmq").url if request.param == "rabbitmq" else "",
        namespace=f"t{uuid.uuid4().hex[:12]}",
        engine="tests.support.engines:Scripted",
        work_dir=str(folder / "work"),
        heartbeat_interval_sec=0.3,
        heartbeat_timeout_sec=3,
        lease_sec=5,
        ring_after_sec=1,
        backoff_sec=0.2,
    )
    made = NodeCluster(settings, folder)
    yield made
    made.connection.close()


@pytest.fixture(scope="module")
def shared(cluster: NodeCluster) -> Iterator[NodeProcess]:
    """One node for all tests that leave it as they found it."""
    with nodes(cluster.settings, cluster.store, cluster.folder, "shared@here") as (node,):
        yield node


@pytest.fixture
def mark() -> str:
    """An argument that tells this test's processes from all others."""
    return f"mark-{uuid.uuid4().hex}"
