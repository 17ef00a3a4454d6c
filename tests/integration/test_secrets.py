"""A password that is in the addresses of store and broker is in nothing that anybody is shown."""

import contextlib
import json
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import redis

from fixwurx_celery.broker import Doorbells, doorbell, make_app
from fixwurx_celery.domain.bugs import TERMINAL, Bug
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from tests.support.controllers import command, controller, running_process
from tests.support.flower import flower
from tests.support.processes import nodes
from tests.support.server import Server, start_server
from tests.support.surroundings import environment, surroundings
from tests.support.waiting import wait_until

PASSWORD = "s3cr3t/of#the?store"  # with all that must be quoted in an address
TOKEN = "t0ken-of-the-metrics"
HIDDEN = (PASSWORD, urllib.parse.quote(PASSWORD, safe=""), TOKEN)


@dataclass(slots=True)
class Onlooker:
    """Looks at the process list for as long as it is there, as any user of the host can."""

    seen: set[str] = field(default_factory=set)
    is_over: threading.Event = field(default_factory=threading.Event)

    def look(self, spare: int) -> None:
        while not self.is_over.wait(0.02):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError, ValueError):
                    if int(file.parent.name) != spare:
                        self.seen.add(file.read_bytes().decode(errors="replace"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with start_server(tmp_path / "server", append_only=True, password=PASSWORD) as started:
        yield started


@pytest.fixture
def settings(server: Server, tmp_path: Path, namespace: str) -> Settings:
    quoted = urllib.parse.quote(PASSWORD, safe="")
    return Settings(
        redis_url=f"redis://:{quoted}@127.0.0.1:{server.port}/0",
        namespace=namespace,
        engine="tests.support.engines:Scripted",
        work_dir=str(tmp_path / "work"),
        total_agents=3,
        heartbeat_interval_sec=0.3,
        heartbeat_timeout_sec=3,
        metrics_token=TOKEN,
    )


def said_by(settings: Settings, *arguments: str) -> str:
    """All that our command line says."""
    done = subprocess.run(
        command(*arguments), env=environment(settings), capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    return done.stdout + done.stderr


def celery_says(settings: Settings, *arguments: str) -> str:
    """All that Celery's own does."""
    line = [command()[0], "-m", "celery", "-A", "fixwurx_celery", *arguments]
    done = subprocess.run(
        line, env=environment(settings), capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout + done.stderr


def everything_in(url: str) -> str:
    """All keys and values of the server, as text."""
    found = []
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter():
            found.append(key)
            with contextlib.suppress(redis.ResponseError):
                found.append(client.dump(key) or b"")  # small values stand in it as they are
            match client.type(key):
                case b"stream":
                    found.append(repr(client.xrange(key)).encode())
                case b"hash":
                    found.append(repr(client.hgetall(key)).encode())
                case b"list":
                    found.append(repr(client.lrange(key, 0, -1)).encode())
    return b"\n".join(found).decode(errors="replace")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("form", ["plain", "json"])
def test_no_password_is_shown_anywhere(
    server: Server, settings: Settings, tmp_path: Path, form: str
) -> None:
    settings = replace(settings, log_format=form)
    assert server.process is not None
    onlooker = Onlooker()
    looking = threading.Thread(target=onlooker.look, args=(server.process.pid,))
    looking.start()
    shown: dict[str, str] = {}
    try:
        live = ClusterStore.from_settings(settings, bell=doorbell(settings))
        doorbells = Doorbells(make_app(settings))
        with (
            nodes(settings, live, tmp_path, "n1@here"),
            running_process(controller(tmp_path), environment(settings), tmp_path),
            flower(settings, tmp_path, login="me:page-password") as page,
        ):
            bugs = [Bug(id="good", payload={"steps": [{}]}), Bug(id="bad", payload={"steps": 7})]
            doorbells.ring(live.submit(bugs)[1])
            wait_until("both end", lambda: all(live.bug(b.id).state in TERMINAL for b in bugs))
            for words in (
                ("config", "show"), ("config", "show", "--json"), ("config", "check", "--connect"),
                ("doctor",), ("bug", "show", "bad", "--json"), ("bug", "logs", "bad"),
                ("node", "show", "n1@here", "--json"),
            ):  # fmt: skip
                shown[" ".join(words)] = said_by(settings, *words)
            for words in (("report",), ("inspect", "stats"), ("inspect", "conf"), ("status",)):
                shown[" ".join(words)] = celery_says(settings, *words)
            for path in ("/cluster", "/api/workers", "/broker", "/metrics", "/workers"):
                shown[path] = page.ask(path).text
            shown["store"] = everything_in(server.url)
            server.kill()
            shown["away"] = said_by(settings, "doctor") + said_by(settings, "node", "list")
            shown["away, celery"] = celery_says(settings, "status")
            wait_until(
                "the node tells of the outage",
                lambda: "cannot reach the store" in (tmp_path / "n1@here.log").read_text(),
            )
        doorbells.close()
        live.close()
    finally:
        onlooker.is_over.set()
        looking.join()
    for file in (*tmp_path.glob("*.log"), tmp_path / "output", *tmp_path.rglob("work/**/*.json")):
        shown[file.name] = file.read_text(errors="replace")
    shown["settings in a traceback"] = repr(settings)
    shown["processes"] = "\n".join(onlooker.seen)

    assert len(shown["n1@here.log"]) > 500
    assert "celery" in shown["processes"]
    assert [
        (where, json.dumps(text[max(0, text.find(secret) - 200) :][:400]))
        for where, text in shown.items()
        for secret in HIDDEN
        if secret in text
    ] == []


@pytest.mark.parametrize("variable", ["FIXWURX_REDIS_URL", "FIXWURX_BROKER_URL"])
def test_an_address_that_cannot_be_read_is_not_quoted(variable: str, tmp_path: Path) -> None:
    for wrong in ("redis://:s3cr3t/x#y@host:1/0", "redis://u:s3cr3t@host:port/0", "s3cr3t"):
        env = surroundings(**{variable: wrong}, XDG_STATE_HOME=str(tmp_path))
        done = subprocess.run(
            command("doctor"), env=env, capture_output=True, text=True, check=False, timeout=60
        )

        assert "s3cr3t" not in (done.stdout + done.stderr).replace(f"{variable}=s3cr3t ", "")
