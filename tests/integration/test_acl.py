"""A user of the store that may no more than the cluster needs: everything works as that user, and
what would harm others on the server is refused."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from fixwurx_celery.cluster import ClusterResourceManager, Connection
from fixwurx_celery.domain.bugs import Bug
from fixwurx_celery.settings import Settings
from fixwurx_celery.store.event_log import whole_log
from tests.support.processes import ROOT, nodes
from tests.support.server import Server, start_server

DOCUMENT = (ROOT / "docs" / "security.md").read_text("utf-8")


def rules() -> list[str]:
    """The rules that the document gives, but for the password."""
    (line,) = re.findall(
        r"^ACL SETUSER fixwurx on >PASSWORD (.+?)\n(?=\S|\n|```)", DOCUMENT, re.M | re.S
    )
    return " ".join(line.replace("\\\n", " ").split()).split()


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server")) as started:
        with redis.Redis.from_url(started.url) as admin:
            admin.execute_command("ACL", "SETUSER", "fixwurx", "on", ">secret", *rules())
        yield started


@pytest.fixture
def settings(server: Server, tmp_path: Path) -> Settings:
    return Settings(
        redis_url=f"redis://fixwurx:secret@127.0.0.1:{server.port}/0",
        engine="tests.support.engines:Scripted",
        work_dir=str(tmp_path / "work"),
        heartbeat_interval_sec=0.3,
        heartbeat_timeout_sec=3,
    )


def denied(server: Server) -> list[str]:
    """What the user was refused, by the server's own record."""
    with redis.Redis.from_url(server.url, decode_responses=True) as admin:
        log = admin.execute_command("ACL", "LOG")
    return [f"{one['context']} {one['reason']} {one['object']}" for one in log]


def test_the_cluster_works_as_that_user(server: Server, settings: Settings, tmp_path: Path) -> None:
    with (
        Connection(settings) as connection,
        nodes(settings, connection.store, tmp_path, "n1@here"),
    ):
        manager = ClusterResourceManager(connection=connection)
        handle = manager.enqueue(Bug(id=f"b-{uuid.uuid4().hex[:6]}", payload={"steps": [{}]}))
        assert handle.wait(timeout=30)["outcome"] == "FIXED"
        assert manager.allocate("mine")
        assert manager.free_agents("mine")
        connection.store.sweep()
        connection.store.mend()
        connection.store.measure(most_nodes=10)
        connection.store.ping()
        assert list(whole_log(connection.store))
        assert connection.store.bug_ids()

    assert denied(server) == []


@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("CONFIG", "GET", "requirepass"),
        ("ACL", "LIST"),
        ("ACL", "SETUSER", "fixwurx", "+@all"),
        ("SHUTDOWN",),
        ("SAVE",),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("MODULE", "LIST"),
        ("FUNCTION", "FLUSH"),
        ("SCRIPT", "FLUSH"),
        ("SCRIPT", "KILL"),
        ("MONITOR",),
        ("CLIENT", "KILL", "TYPE", "normal"),
        ("CLIENT", "LIST"),
        ("SWAPDB", "0", "1"),
        ("MIGRATE", "127.0.0.1", "1", "k", "0", "1"),
        ("KEYS", "*"),
        ("SET", "another:key", "x"),
        ("GET", "another:key"),
        ("EVAL", "return redis.call('GET', 'another:key')", "0"),
        ("EVAL", "return redis.call('GET', KEYS[1])", "1", "another:key"),
        ("EVAL", "return redis.call('CONFIG', 'GET', '*')", "0"),
        ("SUBSCRIBE", "another"),
        ("PUBLISH", "another", "x"),
    ],
    ids=" ".join,
)
def test_what_harms_others_is_refused(
    server: Server, settings: Settings, command: tuple[str, ...]
) -> None:
    with (
        redis.Redis.from_url(settings.redis_url) as user,
        pytest.raises(
            redis.exceptions.ResponseError,
            match=r"(?i)no permissions|NOPERM|acl|not allowed from script",
        ),
    ):
        user.execute_command(*command)
