"""What the whole suite shares: one real server, and for each test a namespace of its own on it.

The server is `--redis-url` (or FIXWURX_TEST_REDIS_URL) when given, else a private one started here:
the valkey-server of the embedded extra, or one on the PATH. Where there is none, tests that need it
are skipped on a laptop and fail when CI is set.
"""

import os
import random
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import redis

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # tests import `tests.support`, whichever way pytest was started
    sys.path.insert(0, str(ROOT))

from fixwurx_celery.settings import Settings  # noqa: E402 - the path comes first
from fixwurx_celery.store import ClusterStore, connect  # noqa: E402
from tests.support.clock import Clock  # noqa: E402
from tests.support.docker_daemon import DockerDaemon, NoDocker, start_docker  # noqa: E402
from tests.support.kube import Kube, NoKube, start_kube  # noqa: E402
from tests.support.rabbitmq import NoRabbitMQ, RabbitMQ, start_rabbitmq  # noqa: E402
from tests.support.server import NoServer, start_server  # noqa: E402
from tests.support.state import remove_namespace  # noqa: E402

MakeStore = Callable[..., ClusterStore]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--redis-url",
        default=os.environ.get("FIXWURX_TEST_REDIS_URL", ""),
        help="a Redis or Valkey server for the suite; default: a private one "
        "(FIXWURX_TEST_REDIS_URL)",
    )
    parser.addoption(
        "--seed",
        default=os.environ.get("FIXWURX_CHAOS_SEED", ""),
        help="what the chaos suite draws from; default: the clock's (FIXWURX_CHAOS_SEED)",
    )


@pytest.fixture(scope="session")
def redis_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The suite's server. Its databases are the tests' to write in."""
    given = request.config.getoption("--redis-url")
    if given:
        yield given
        return
    try:
        server = start_server(tmp_path_factory.mktemp("server"))
    except NoServer as error:
        absent(error)
    with server:
        yield server.url


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A broker beside the store, for the tier of this name. Tests leave it running."""
    try:
        server = start_rabbitmq(tmp_path_factory.mktemp("rabbitmq"))
    except NoRabbitMQ as error:
        absent(error)
    with server:
        yield server


@pytest.fixture(scope="session")
def docker_daemon() -> Iterator[DockerDaemon]:
    """One for all tests. They leave it running."""
    pytest.importorskip("docker", reason="needs pip install 'fixwurx-celery[docker]'")
    try:
        daemon = start_docker()
    except NoDocker as error:
        absent(error)
    with daemon, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", daemon.url)
        yield daemon


@pytest.fixture(scope="session")
def kube(docker_daemon: DockerDaemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    """One for all tests. They leave it running."""
    pytest.importorskip("kubernetes", reason="needs pip install 'fixwurx-celery[kubernetes]'")
    try:
        cluster = start_kube(tmp_path_factory.mktemp("kube"), docker_daemon)
    except NoKube as error:
        absent(error)
    with cluster:
        yield cluster


@pytest.fixture
def namespace(redis_url: str) -> Iterator[str]:
    """A namespace that no other test uses; nothing of it is left afterwards."""
    name = f"t{uuid.uuid4().hex[:12]}"
    yield name
    with redis.Redis.from_url(redis_url) as client:
        remove_namespace(client, name)


@pytest.fixture
def settings(redis_url: str, namespace: str) -> Settings:
    """Default settings for a cluster of this test's own."""
    return Settings(redis_url=redis_url, namespace=namespace)


@pytest.fixture
def clock() -> Clock:
    """The time that `store` lives by. It stands still unless a test moves it."""
    return Clock()


@pytest.fixture
def make_store(redis_url: str, namespace: str, clock: Clock) -> Iterator[MakeStore]:
    """Makes stores on this test's namespace and clock, with the settings given by keyword."""
    opened: list[ClusterStore] = []

    def make(**given: object) -> ClusterStore:
        settings = Settings.from_environment({}, redis_url=redis_url, namespace=namespace, **given)
        store = ClusterStore(
            connect(redis_url), settings, rng=random.Random(7), clock_ms=lambda: clock.now_ms
        )
        opened.append(store)
        return store

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(make_store: MakeStore) -> ClusterStore:
    """A store with default settings, living by `clock`."""
    return make_store()


@pytest.fixture
def live_store(settings: Settings) -> Iterator[ClusterStore]:
    """A store that lives by the server's clock, as in production."""
    made = ClusterStore.from_settings(settings)
    yield made
    made.close()


@pytest.fixture
def say() -> Callable[[str], object]:
    """Who is told what a test sees that is a script too: shown by pytest when the test fails."""
    return print


def absent(error: Exception) -> NoReturn:
    """A tier cannot run here: on a laptop that is no failure."""
    if os.environ.get("CI"):
        pytest.fail(str(error))
    pytest.skip(str(error))
