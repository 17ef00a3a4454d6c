"""Whether the processes of a container are well, as those beside them see it."""

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixwurx_celery.processes import identity
from fixwurx_celery.pulse import Pulse, Role, roles_of, troubles
from fixwurx_celery.settings import Settings

NODE, CONTROLLER = {(Role.NODE, 0)}, {(Role.CONTROLLER, 0)}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(work_dir=str(tmp_path / "work"), heartbeat_timeout_sec=10)


@pytest.mark.parametrize(
    ("command", "roles"),
    [
        ("celery -A fixwurx_celery worker -n node@%h", {(Role.NODE, 0)}),
        ("python /usr/local/bin/celery -A fixwurx_celery worker", {(Role.NODE, 0)}),
        ("celery -A fixwurx_celery.controller worker -B", {(Role.CONTROLLER, 0)}),
        ("celery -A fixwurx_celery flower", {(Role.FLOWER, 5555)}),
        ("celery -A fixwurx_celery flower --port=80 --address=0.0.0.0", {(Role.FLOWER, 80)}),
        ("/usr/local/bin/fixwurx-celery flower --port=80", {(Role.FLOWER, 80)}),
        ("fixwurx-celery submit bugs.yaml --wait", set()),
        ("celery -A someone worker", set()),
        ("sleep 60", set()),
    ],
)
def test_the_command_line_says_what_a_process_is(command: str, roles: set[object]) -> None:
    assert set(roles_of(command.split())) == roles


def test_a_node_is_well_while_its_pulse_is_young(settings: Settings) -> None:
    assert list(troubles(settings, NODE)) == ["node: it is not in service yet, or it is leaving"]

    pulse = Pulse(settings, Role.NODE)
    pulse.beat()
    assert list(troubles(settings, NODE)) == []
    assert list(troubles(settings, CONTROLLER)) != []

    [file] = settings.work_folder.glob("pulse-*")
    long_ago = file.stat().st_mtime - 25
    os.utime(file, (long_ago, long_ago))
    assert list(troubles(settings, NODE)) == ["node: the store has not heard of it for 25 s"]

    pulse.stop()
    assert list(settings.work_folder.iterdir()) == []


def test_the_pulse_of_a_dead_process_counts_for_nothing_and_is_cleared(settings: Settings) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        left = settings.work_folder / f"pulse-node-{identity(process.pid)}"
        left.parent.mkdir()
        left.touch()
        assert list(troubles(settings, NODE)) == []
        process.kill()
    assert list(troubles(settings, NODE)) != []

    Pulse(settings, Role.CONTROLLER).beat()
    assert not left.exists()


def test_a_pulse_that_cannot_be_written_keeps_nobody_from_work(tmp_path: Path) -> None:
    in_the_way = tmp_path / "work"
    in_the_way.write_text("")

    pulse = Pulse(Settings(work_dir=str(in_the_way)), Role.NODE)
    pulse.beat()
    pulse.stop()


class Page(http.server.BaseHTTPRequestHandler):
    """Answers as Flower's own page of health does."""

    status = 200

    def do_GET(self) -> None:
        asked = self.path == "/healthcheck"
        self.send_response(type(self).status if asked else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(10)


@pytest.mark.parametrize(("status", "is_well"), [(200, True), (401, True), (500, False)])
def test_flower_is_well_when_it_answers_or_asks_for_a_login(
    settings: Settings, port: int, status: int, is_well: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Page, "status", status)

    assert (list(troubles(settings, {(Role.FLOWER, port)})) == []) is is_well


def test_flower_is_not_well_when_nobody_answers(settings: Settings) -> None:
    [said] = troubles(settings, {(Role.FLOWER, 1)})
    assert said.startswith("flower: no answer on port 1: ")


def test_where_nothing_of_the_cluster_runs_all_is_well(tmp_path: Path) -> None:
    """As a program beside it asks, in a container of its own."""
    asked = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-P", "-m",
         "fixwurx_celery.pulse"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if "unshare" in asked.stderr:
        pytest.skip(f"a container needs root: {asked.stderr}")

    assert (asked.returncode, asked.stdout, asked.stderr) == (0, "well\n", "")
