"""A namespace of the module's own, and Flowers that show it."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from tests.support import cluster
from tests.support.flower import Flower, flower
from tests.support.state import remove_namespace

LOGIN = "me:pass:word"


@pytest.fixture(scope="module")
def shown(redis_url: str) -> Iterator[Settings]:
    """The settings of the cluster that this module's Flowers show."""
    settings = Settings(
        redis_url=redis_url, namespace=f"t{uuid.uuid4().hex[:12]}", heartbeat_timeout_sec=600
    )
    yield settings
    with redis.Redis.from_url(redis_url) as client:
        remove_namespace(client, settings.namespace)


@pytest.fixture(scope="module")
def shown_store(shown: Settings) -> Iterator[ClusterStore]:
    """Its store."""
    store = ClusterStore.from_settings(shown)
    yield store
    store.close()


@pytest.fixture
def node(shown_store: ClusterStore) -> Iterator[cluster.Life]:
    """A node in service, for one test; afterwards no bug is left either."""
    life, _ = cluster.node(shown_store, f"node-{uuid.uuid4().hex[:6]}@here", 9, ["python"])
    yield life
    for bug_id in shown_store.bug_ids():
        shown_store.release(bug_id)
    shown_store.retire(life.node, life.incarnation)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flower")


@pytest.fixture(scope="module")
def guarded(shown: Settings, folder: Path) -> Iterator[Flower]:
    """One with a login, and with a token for probes."""
    with flower(shown, folder, login=LOGIN, FIXWURX_METRICS_TOKEN="tok/en") as started:
        yield started


@pytest.fixture(scope="module")
def local(shown: Settings, folder: Path) -> Iterator[Flower]:
    """One without a login, below a prefix."""
    with flower(shown, folder, prefix="/fw/flower") as started:
        yield started
