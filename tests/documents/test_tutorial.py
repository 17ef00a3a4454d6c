"""The tutorial and the README as a reader follows them: a shell runs every block, in order."""

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from tests.support.commands import Desk, desk
from tests.support.server import Server, start_server
from tests.support.surroundings import ROOT, surroundings
from tests.support.waiting import wait_until

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")


def blocks(document: str, heading: str) -> list[str]:
    """The shell blocks below that heading."""
    section = re.split(r"^## ", document.split(f"\n## {heading}\n", 1)[1], flags=re.M)[0]
    return re.findall(r"^```sh\n(.*?)^```", section, flags=re.M | re.S)


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as made:
        yield made


class Shell:
    """A reader's shell: a home of its own, the command on its path, nothing configured."""

    def __init__(self, at: Desk, **environment: str) -> None:
        self.at = at
        # Commands as an installation has them, of the code under test.
        tools = at.folder / "bin"
        tools.mkdir(exist_ok=True)
        for name, module in (("fixwurx-celery", "fixwurx_celery.cli"), ("celery", "celery")):
            call = f"from {module} import main; main()" if module != "celery" else ""
            text = f'exec "{sys.executable}" ' + (f'-c "{call}"' if call else "-m celery")
            (tools / name).write_text(f'#!/bin/sh\n{text} "$@"\n')
            (tools / name).chmod(0o755)
        self.environment = surroundings(
            HOME=str(at.folder),
            PATH=f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            TMPDIR=str(at.temporary),
            DESK_MARK=at.mark,
            **environment,
        )

    def __call__(self, script: str, folder: str = ".", within_s: float = 90) -> str:
        """What the script prints; it must succeed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.at.folder / folder, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=within_s,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    @contextmanager
    def beside(self, script: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Runs it in a terminal of its own, until Ctrl-C."""
        log = self.at.folder / f"beside-{uuid.uuid4().hex[:6]}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-euc", f"exec {script.strip()}"],
                cwd=self.at.folder, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                process.kill()
                raise AssertionError(f"{script} did not end: {log.read_text()[-2000:]}") from None


def test_one_command(at: Desk) -> None:
    shell = Shell(at)
    program, run, use = blocks(TUTORIAL, "1. One command")

    shell(program)
    said = shell(run, "shop")
    assert "discount: FIXED" in said
    assert "1 of 1 fixed" in said
    said = shell(use, "shop")
    assert "+    return sum(prices) - discount" in said
    assert "1 passed" in said
    at.check_nothing_is_left()


@pytest.mark.slow
def test_a_cluster_that_stays(at: Desk) -> None:
    shell = Shell(at)
    shell(blocks(TUTORIAL, "1. One command")[0])
    up, others = blocks(TUTORIAL, "2. A cluster that stays")
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
    shell(blocks(TUTORIAL, "1. One command")[0])
    store, node, controller, look = blocks(TUTORIAL, "3. Three hosts")
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
    controller, look = blocks(TUTORIAL, "4. Nodes that come and go by themselves")
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
    (manifest,) = re.findall(r"^```yaml\n(bugs:.*?)^```", README, flags=re.M | re.S)
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
    install, run = blocks(README, "On a laptop")[0].strip().splitlines()
    assert install.startswith("pip install")

    said = shell(run)

    assert "BUG-123: FIXED" in said
    at.check_nothing_is_left()
