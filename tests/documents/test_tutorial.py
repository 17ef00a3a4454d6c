"""The tutorial and the README as a reader follows them: a shell runs every block, in order."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from tests.support.commands import Desk, desk
from tests.support.documented import shown
from tests.support.server import Server, start_server
from tests.support.shell import Shell
from tests.support.waiting import wait_until


def masked(text: str) -> str:
    """Without what differs from machine to machine."""
    text = re.sub(r"@\S+", "@host", re.sub(r"\d+(\.\d+)?", "N", text))
    return re.sub(r" +", " ", text)


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as made:
        yield made


def test_one_command(at: Desk) -> None:
    shell = Shell(at)
    program, run, use = shown("tutorial.md", "1. One command")

    shell(program)
    said = shell(f"{run.strip()} 2>&1", "shop")
    [console] = shown("tutorial.md", "1. One command", "console")
    assert masked(said) == masked(console)
    said = shell(use, "shop")
    assert "+    return sum(prices) - discount" in said
    assert "1 passed" in said
    at.check_nothing_is_left()


@pytest.mark.slow
def test_a_cluster_that_stays(at: Desk) -> None:
    shell = Shell(at)
    shell(shown("tutorial.md", "1. One command")[0])
    up, others = shown("tutorial.md", "2. A cluster that stays")
    environment = at.folder / ".local/state/fixwurx-celery/up/env"

    with shell.beside(up):
        wait_until("the store is up", environment.exists, within_s=30)
        first, *lines = others.strip().splitlines()
        for line in lines:
            if line.endswith(" watch"):  # which goes on until Ctrl-C
                line = f"timeout -s INT 5 {line} || test $? -eq 124 -o $? -eq 130"
            shell(f"{first}\n{line}", "shop")
        said = shell(f"{first}\nfixwurx-celery bug show discount", "shop")
        assert "FIXED" in said
        said = shell(f"{first}\ncelery -A fixwurx_celery status")
        assert "node online" in said or "nodes online" in said
    at.check_nothing_is_left()


@pytest.fixture
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.mark.slow
def test_hosts_and_a_controller(at: Desk, own_server: Server) -> None:
    """The tutorial's hosts are this one; its store is a server of the test's."""
    shell = Shell(at, FIXWURX_WORK_DIR=str(at.folder / "work"))
    shell(shown("tutorial.md", "1. One command")[0])
    store, node, controller, look = shown("tutorial.md", "3. Three hosts")
    assert "noeviction" in store
    exports = "\n".join(line for line in node.splitlines() if line.startswith("export"))
    own = exports.replace(
        "$PASSWORD@store:6379", f"{own_server.password}@127.0.0.1:{own_server.port}"
    )
    assert own != exports
    shell.environment["FIXWURX_REDIS_URL"] = re.findall(r'"(redis:.*?)"', own)[0]
    worker = node.strip().splitlines()[-1]
    seen = ClusterStore.from_settings(Settings(redis_url=own_server.url))

    with shell.beside(worker), shell.beside(worker.replace("node1", "node2")):
        wait_until("two nodes serve", lambda: len(seen.snapshot().live) == 2, within_s=40)
        with shell.beside(controller):
            for line in look.strip().splitlines():
                if line == "fixwurx-celery doctor":
                    line += " || test $? -eq 4 -o $? -eq 1"  # the test's store keeps no file
                shell(line, "shop")
        assert seen.bug("discount").outcome["outcome"] == "FIXED"
    seen.close()
    at.check_nothing_is_left()


@pytest.mark.slow
def test_nodes_that_come_by_themselves(at: Desk, own_server: Server) -> None:
    shell = Shell(at, FIXWURX_WORK_DIR=str(at.folder / "work"), FIXWURX_REDIS_URL=own_server.url)
    shell.environment["FIXWURX_SCALING_INTERVAL_SEC"] = "1"
    controller, look = shown("tutorial.md", "4. Nodes that come and go by themselves")
    settings, command = controller.strip().splitlines()
    for name, value in re.findall(r"(FIXWURX_\w+)=(\S+)", settings):
        shell.environment[name] = value
    seen = ClusterStore.from_settings(Settings(redis_url=own_server.url))

    with shell.beside(command):
        wait_until("a node was started", lambda: seen.snapshot().live, within_s=40)
        for line in look.strip().splitlines():
            shell(line)
    seen.close()
    for node in at.named("-n auto1@") + at.named("providers.supervisor"):
        node.terminate()
    at.check_nothing_is_left()


@pytest.mark.slow
def test_the_readmes_first_commands(at: Desk) -> None:
    """Its run of a manifest, with a repository where it says that one is."""
    shell = Shell(at)
    [manifest] = shown("README.md", "On a laptop", "yaml")
    (at.folder / "bugs.yaml").write_text(manifest)
    tests = at.folder / "repo" / "tests"
    tests.mkdir(parents=True)
    (at.folder / "repo" / "gcd.py").write_text(
        "def gcd(a, b):\n    while b:\n        a, b = b, a // b\n    return a\n"
    )
    (at.folder / "repo" / "conftest.py").write_text("")
    (tests / "test_gcd.py").write_text(
        "from gcd import gcd\n\n\ndef test_gcd():\n    assert gcd(12, 18) == 6\n"
    )
    install, run = shown("README.md", "On a laptop")[0].strip().splitlines()
    assert install.startswith("pip install")

    said = shell(run)

    assert "BUG-123: FIXED" in said
    at.check_nothing_is_left()
