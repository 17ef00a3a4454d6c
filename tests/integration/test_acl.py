"""Users of the store that may no more than they need, as docs/security.md words them: everything
works as such a user, and what would harm others on the server is refused."""

import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from fixwurx_celery.cluster import ClusterResourceManager, Connection
from fixwurx_celery.domain.bugs import Bug
from fixwurx_celery.errors import NotPermitted
from fixwurx_celery.settings import Settings
from fixwurx_celery.store.event_log import whole_log
from tests.support.controllers import command, controller, running_process
from tests.support.documented import shown
from tests.support.flower import flower
from tests.support.processes import nodes
from tests.support.server import Server, server_binary, start_server
from tests.support.surroundings import environment
from tests.support.waiting import wait_until

COMMANDS = [" ".join(text.replace("\\\n", " ").split())
            for text in shown("security.md", "A user of the store", "")]  # fmt: skip


def rules(user: str) -> list[str]:
    """The rules that the document gives, but for the password."""
    start = f"ACL SETUSER {user} on >PASSWORD "
    [rest] = [line.removeprefix(start) for line in COMMANDS if line.startswith(start)]
    return rest.split()


@pytest.fixture(scope="module", params=["usual", "redis-server"])
def started(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Of each kind that there is: rules that one knows may be an error to the other."""
    binary = server_binary() if request.param == "usual" else shutil.which(request.param)
    if binary is None:
        pytest.skip(f"{request.param} is not installed")
    with start_server(tmp_path_factory.mktemp("server"), binary=binary) as server:
        yield server


@pytest.fixture
def server(started: Server) -> Server:
    """With both users, and nothing else."""
    with redis.Redis.from_url(started.url) as admin:
        admin.flushall()
        for user in ("fixwurx", "fixwurx-viewer"):
            admin.execute_command("ACL", "SETUSER", user, "on", ">secret", *rules(user))
        admin.execute_command("ACL", "LOG", "RESET")
    return started


@pytest.fixture
def settings(server: Server, tmp_path: Path) -> Settings:
    return Settings(
        redis_url=f"redis://fixwurx:secret@127.0.0.1:{server.port}/0",
        engine="tests.support.engines:Scripted",
        work_dir=str(tmp_path / "work"),
        heartbeat_interval_sec=0.3,
        heartbeat_timeout_sec=3,
        scaling_interval_sec=1,
    )


@pytest.fixture
def viewer(settings: Settings) -> Settings:
    """The same store, as who may only look."""
    return replace(settings, redis_url=settings.redis_url.replace("fixwurx:", "fixwurx-viewer:"))


def exit_status(settings: Settings, *words: str) -> int:
    """How our command line ends."""
    done = subprocess.run(
        command(*words), env=environment(settings), capture_output=True, check=False, timeout=60
    )
    return done.returncode


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


@pytest.mark.slow
def test_controller_flower_and_commands_work_as_that_user(
    server: Server, settings: Settings, tmp_path: Path
) -> None:
    with (
        Connection(settings) as connection,
        nodes(settings, connection.store, tmp_path, "n1@here"),
        running_process(controller(tmp_path), environment(settings), tmp_path),
        flower(settings, tmp_path, login="me:password") as page,
    ):
        handle = ClusterResourceManager(connection=connection).enqueue(Bug(id="b"))
        handle.wait(timeout=30)
        for words in (
            ("doctor",), ("bug", "list"), ("bug", "show", "b"), ("bug", "logs", "b"),
            ("bug", "retry", "b"), ("node", "drain", "n1@here"), ("node", "resume", "n1@here"),
            ("scale", "history"), ("strategy", "set", "RANDOM"),
        ):  # fmt: skip
            assert exit_status(settings, *words) == 0, words
        for path in ("/cluster", "/metrics", "/workers", "/api/workers?refresh=1", "/broker"):
            assert page.ask(path).status == 200, path
        for words in (("inspect", "stats"), ("control", "enable_events")):
            line = [sys.executable, "-m", "celery", "-A", "fixwurx_celery", *words]
            subprocess.run(
                line, env=environment(settings), check=True, capture_output=True, timeout=60
            )
        said = tmp_path / "output"
        wait_until("the controller is at work", lambda: "ready" in said.read_text(), within_s=30)

    assert denied(server) == []


@pytest.mark.slow
def test_who_may_look_can_look_and_no_more(
    server: Server, settings: Settings, viewer: Settings, tmp_path: Path
) -> None:
    with (
        Connection(settings) as connection,
        nodes(settings, connection.store, tmp_path, "n1@here"),
    ):
        manager = ClusterResourceManager(connection=connection)
        manager.enqueue(Bug(id="b")).wait(timeout=30)
        before = list(whole_log(connection.store))
        for words in (
            ("bug", "list"), ("bug", "show", "b"), ("bug", "logs", "b"), ("node", "list"),
            ("node", "show", "n1@here"), ("scale", "history"), ("strategy", "show"),
        ):  # fmt: skip
            assert exit_status(viewer, *words) == 0, words
        assert denied(server) == []

        for words in (
            ("bug", "retry", "b"), ("node", "drain", "n1@here"), ("strategy", "set", "RANDOM"),
        ):  # fmt: skip
            assert exit_status(viewer, *words) == 1, words
        with Connection(viewer) as looking:
            with pytest.raises(NotPermitted, match=r"docs/security\.md"):
                looking.store.submit([Bug(id="another")])
            with pytest.raises(NotPermitted):
                looking.store.register("n2@here", "a life", "9|python", {})

        assert list(whole_log(connection.store)) == before


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
        ("EVAL", "return redis.call('FLUSHALL')", "0"),
        ("EVAL", "return redis.call('KEYS', '*')", "0"),
        ("SUBSCRIBE", "another"),
        ("PUBLISH", "another", "x"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("user", ["fixwurx", "fixwurx-viewer"])
def test_what_harms_others_is_refused(server: Server, user: str, command: tuple[str, ...]) -> None:
    with (
        redis.Redis.from_url(f"redis://{user}:secret@127.0.0.1:{server.port}/0") as client,
        pytest.raises(
            redis.exceptions.ResponseError,
            match=r"(?i)no permissions|NOPERM|acl|not allowed from script|can't run this command"
            "|can't access at least one of the keys",
        ),
    ):
        client.execute_command(*command)
