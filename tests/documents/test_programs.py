"""The programs that the documents show, on a cluster whose nodes run FixWurx's engine."""

import asyncio
import contextlib
import re
import textwrap
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fixwurx_celery import Bug, ClusterResourceManager, Connection
from fixwurx_celery.domain.bugs import TERMINAL, BugState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from tests.support.commands import Desk, desk
from tests.support.documented import shown
from tests.support.monitor import SystemMonitor
from tests.support.server import free_port, start_server
from tests.support.shell import Shell
from tests.support.surroundings import ROOT
from tests.support.waiting import wait_until

ENGINES = {
    "Countdown": shown("engines.md", "Two methods", "python")[0],
    "factory": shown("engines.md", "FixWurx's engine", "python")[0]
    + shown("fixwurx.md", "The engine", "python")[0],
}
MONITORS = {
    "fixwurx.md": shown("fixwurx.md", "The monitor", "python"),
    "metrics.md": shown("metrics.md", "FixWurx's SystemMonitor", "python"),
}


@dataclass
class Scene:
    """A reader's desk, a store, and a node."""

    at: Desk
    shell: Shell
    settings: Settings

    def ends(self, bug_id: str) -> BugState:
        with contextlib.closing(ClusterStore.from_settings(self.settings)) as store:
            wait_until(f"{bug_id} ends", lambda: store.bug(bug_id).state in TERMINAL, within_s=30)
            return store.bug(bug_id).state

    def program(self, text: str) -> str:
        """What it prints, as a program of the reader's."""
        (self.at.folder / "program.py").write_text(text)
        return self.shell("python program.py")


@contextlib.contextmanager
def scene(folder: Path, engine: str, url: str) -> Iterator[Scene]:
    """The engine is that of the documents, in the module `our_engines` of the desk."""
    [start, node] = shown("engines.md", "Two methods")[0].strip().splitlines()
    assert start.split()[1] == "FIXWURX_ENGINE=our_engines:Countdown"
    (folder / "our_engines.py").write_text(ENGINES[engine])
    settings = Settings(redis_url=url, namespace=engine.lower())
    with desk(folder) as at:
        shell = Shell(
            at,
            FIXWURX_REDIS_URL=url,
            FIXWURX_NAMESPACE=engine.lower(),
            FIXWURX_WORK_DIR=str(folder / "work"),
            PYTHONPATH=f"{ROOT}:{folder}",
        )
        with shell.beside(f"{start.replace('Countdown', engine)}\nexec {node}") as said:
            with contextlib.closing(ClusterStore.from_settings(settings)) as store:
                wait_until(f"the node serves: {said()}", lambda: store.snapshot().live,
                           within_s=40)  # fmt: skip
            yield Scene(at, shell, settings)
        at.check_nothing_is_left()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with start_server(tmp_path_factory.mktemp("server")) as server:
        yield server.url


@pytest.fixture(scope="module")
def fixwurx(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("fixwurx"), "factory", url) as made:
        yield made


@pytest.fixture
def manager(fixwurx: Scene) -> Iterator[ClusterResourceManager]:
    with Connection(fixwurx.settings) as connection:
        yield ClusterResourceManager(connection=connection)


def test_an_engine_of_two_methods(tmp_path: Path, url: str) -> None:
    with scene(tmp_path, "Countdown", url) as at:
        at.program(shown("engines.md", "Two methods", "python")[1])

        assert at.ends("BUG-7") is BugState.DONE


@dataclass
class Scheduler:
    """FixWurx's, as far as an executor knows it."""

    active: list[Any]
    complete: list[str] = field(default_factory=list)

    async def get_active_bugs(self) -> list[Any]:
        return self.active

    async def mark_bug_complete(self, bug_id: str) -> None:
        self.active = [bug for bug in self.active if bug.bug_id != bug_id]
        self.complete.append(bug_id)


@dataclass
class OneBug:
    bug_id: str


def test_the_executor(fixwurx: Scene, manager: ClusterResourceManager) -> None:
    [text] = shown("fixwurx.md", "The executor", "python")
    scheduler = Scheduler([OneBug("b-1"), OneBug("b-2")])
    names = {"asyncio": asyncio, "scheduler": scheduler, "cluster_manager": manager}
    exec(f"async def main():\n    global executor\n{textwrap.indent(text, '    ')}", names)

    async def until_all_are_complete() -> None:
        running = asyncio.create_task(names["main"]())  # type: ignore[operator]
        async with asyncio.timeout(40):
            while scheduler.active:
                await asyncio.sleep(0.05)
                assert not running.done(), running.exception()
        running.cancel()

    asyncio.run(until_all_are_complete())
    names["executor"].close()  # type: ignore[attr-defined]

    assert sorted(scheduler.complete) == ["b-1", "b-2"]
    assert fixwurx.ends("b-1") is BugState.DONE


@pytest.mark.parametrize("page", MONITORS)
def test_the_monitor(
    fixwurx: Scene, manager: ClusterResourceManager, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    [text] = MONITORS[page]
    port = free_port()
    for name, value in fixwurx.settings.environment().items():
        monkeypatch.setenv(name, value)
    names: dict[str, Any] = {"cluster_manager": manager, "SystemMonitor": SystemMonitor}

    exec(text.replace("9465", str(port)), names)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        served = answer.read().decode()
    names["bus"].stop()
    if "connection" in names:
        names["connection"].close()

    assert re.search(r"^triangulum_agent_utilization\{", served, re.M)
    assert re.search(r"^fixwurx_agents \d", served, re.M)


def test_what_a_log_proves(
    fixwurx: Scene, manager: ClusterResourceManager, capsys: pytest.CaptureFixture[str]
) -> None:
    [text] = shown("events.md", "What a log proves", "python")
    manager.enqueue(Bug(id="b-3")).wait(timeout=30)

    with contextlib.closing(ClusterStore.from_settings(fixwurx.settings)) as store:
        exec(text, {"store": store})

    assert capsys.readouterr().out == "[]\n"
