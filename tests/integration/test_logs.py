"""What nodes and controllers write into their logs, in both formats, and whether a bug can be
followed through them."""

import dataclasses
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.logs import JSON, PLAIN
from tests.support.controllers import controller, running_process
from tests.support.documented import shown
from tests.support.live_cluster import LiveCluster
from tests.support.processes import start_node
from tests.support.server import Server, start_server
from tests.support.surroundings import environment
from tests.support.waiting import wait_until

SECRET = "s3cret-of-the-store"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
PLAIN_LINE = re.compile(r"\[[\d-]+ [\d:,]+: (\w+)/[\w-]+\] (.+)")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A store with a password."""
    with start_server(tmp_path_factory.mktemp("server"), password=SECRET) as started:
        yield started


@pytest.fixture
def cluster(server: Server, tmp_path: Path) -> Iterator[LiveCluster]:
    made = LiveCluster(tmp_path, redis_url=server.url)
    yield made
    made.close()


def objects(log: Path) -> list[dict[str, Any]]:
    """The lines of a log, each of which must be an object of JSON with the fields of all."""
    told = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    for one in told:
        assert TIME.fullmatch(one["time"]), one
        assert one["level"] in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
        assert one["message"]
        assert one["process"]
        assert isinstance(one["pid"], int)
    assert SECRET not in log.read_text("utf-8")
    return told


def about(bug_id: str, told: Sequence[dict[str, Any]]) -> list[tuple[str, str, int, str]]:
    """The events of a bug: name, level, epoch, node."""
    return [
        (one["event"], one["level"], one["epoch"], one["node"])
        for one in told
        if one.get("bug") == bug_id and "event" in one
    ]


def test_a_bug_is_followed_through_the_logs_of_two_nodes_by_its_id_and_epochs(
    cluster: LiveCluster,
) -> None:
    cluster.settings = dataclasses.replace(cluster.settings, log_format=JSON)
    with cluster.node("heir@here") as heir:
        cluster.cli("node", "drain", "heir@here")
        with cluster.node("doomed@here") as doomed:
            bug_id = cluster.submit({"phase": "REPRO"}, {"until": str(cluster.folder / "gate")})
            first = cluster.running(bug_id).epoch
            cluster.cli("node", "resume", "heir@here")
            doomed.kill()
            second = cluster.running(bug_id, run=2).epoch
            (cluster.folder / "gate").touch()
            assert cluster.wait(bug_id).state is BugState.DONE
        heir.terminate()
        ours, theirs = objects(heir.log), objects(doomed.log)

    assert first < second
    assert about(bug_id, theirs) == [("bug_started", "INFO", first, "doomed@here")]
    assert about(bug_id, ours) == [
        ("bug_given_back", "WARNING", first, "doomed@here"),
        ("bug_started", "INFO", second, "heir@here"),
        ("bug_finished", "INFO", second, "heir@here"),
    ]
    example = json.loads(shown("operations.md", "Logs", "json")[0])
    (given_back,) = [one for one in ours if one.get("event") == example["event"]]
    assert [*example] == [*given_back]
    assert example["message"] == given_back["message"]
    (end,) = [one for one in ours if one.get("event") == "bug_finished"]
    assert (end["outcome"], end["state"]) == ("FIXED", "DONE")
    assert end["process"].startswith("heir@here/ForkPoolWorker-")
    lost = [one for one in ours if one.get("event") == "node_lost"]
    assert [(one["node"], one["reason"], one["process"]) for one in lost] == [
        ("doomed@here", "its connection dropped", "heir@here")
    ]
    # Celery's own lines are found too, and no line is about nobody.
    assert [one["epoch"] for one in ours if one["message"].endswith("received")] == [second]
    assert all(one["node"] for one in ours + theirs)
    assert [one["event"] for one in ours if one.get("event", "").startswith("node_")] == [
        "node_registered",
        "node_lost",
        "node_draining",
    ]


def test_plain_lines_are_read_by_people_and_found_by_what_they_are_about(
    cluster: LiveCluster,
) -> None:
    with cluster.node("plain@here") as node:
        hostile = "no\n\x1b[2J\x9b luck at https://me:tok3n@host/x"
        crashed = cluster.submit({"crash": True}, {})
        refused = cluster.submit({"raise": hostile})
        ends = [cluster.wait(crashed), cluster.wait(refused)]
        node.terminate()
        lines = [PLAIN_LINE.fullmatch(line) for line in node.log.read_text("utf-8").splitlines()]

    assert [end.state for end in ends] == [BugState.ESCALATED] * 2
    said = [(line[1], line[2]) for line in lines if line]
    of_crashed = [line for line in said if f" bug={crashed} " in line[1]]
    assert [(level, text.partition(" ")[0]) for level, text in of_crashed] == [
        ("INFO", "bug"), ("WARNING", "bug"), ("INFO", "bug"), ("WARNING", "bug"), ("INFO", "bug"),
        ("WARNING", "bug"),
    ]  # fmt: skip
    assert of_crashed[-1][1] == (
        f"bug escalated: the engine's process died charge=attempts bug={crashed} "
        f"epoch={ends[0].epoch} node=plain@here"
    )
    (finished,) = [text for _, text in said if text.startswith("bug finished") and refused in text]
    assert finished.startswith("bug finished: RuntimeError: no �[2J� luck at https://me:***@host/x")
    assert "outcome=ERROR state=ESCALATED seconds=" in finished
    assert finished.endswith(f" bug={refused} epoch={ends[1].epoch} node=plain@here")
    text = node.log.read_text("utf-8")
    assert not any(secret in text for secret in (SECRET, "tok3n"))


def test_nothing_is_told_for_a_heartbeat_or_a_tick(cluster: LiveCluster) -> None:
    quick = dataclasses.replace(cluster.settings, log_format=PLAIN, health_check_interval_sec=0.2)
    with (
        cluster.node("quiet@here") as node,
        running_process(
            controller(cluster.folder), environment(quick), cluster.folder
        ),
    ):  # fmt: skip
        output = cluster.folder / "output"
        wait_until("the controller is ready", lambda: "ready." in output.read_text(), within_s=30)
        sizes = [path.stat().st_size for path in (node.log, output)]
        time.sleep(3)  # ten heartbeats, some fifteen ticks

        assert [path.stat().st_size for path in (node.log, output)] == sizes


@pytest.mark.slow
def test_every_line_parses_while_the_store_goes_and_comes_back(tmp_path: Path) -> None:
    server = start_server(tmp_path / "server", password=SECRET, append_only=True)
    cluster = LiveCluster(tmp_path, redis_url=server.url, log_format=JSON, scaling_interval_sec=1)
    logs = [tmp_path / "output", tmp_path / "out-of-band.log", tmp_path / "node@here.log"]
    own = dataclasses.replace(cluster.settings, work_dir=str(tmp_path / "work"))
    node = start_node(own, cluster.store, "node@here", tmp_path, options=["-f", str(logs[1])])
    try:
        with running_process(
            controller(tmp_path), environment(cluster.settings), tmp_path
        ) as ruler:
            bug_id = cluster.submit({"until": str(tmp_path / "gate")})
            cluster.running(bug_id)
            wait_until(
                "ticks are sent",
                lambda: any(event.action == "tick" for event in cluster.store.last_events()),
                within_s=30,
            )
            server.kill()
            wait_until("the node misses it", lambda: "no heartbeat" in logs[1].read_text())
            wait_until("beat misses it", lambda: "are not sent" in logs[0].read_text(), within_s=20)
            time.sleep(3)  # what is told again and again would show
            server.start()
            wait_until(
                "the node has it back", lambda: "beats again" in logs[1].read_text(), within_s=20
            )
            (tmp_path / "gate").touch()
            assert cluster.wait(bug_id, within_s=40).state is BugState.DONE
            assert node.terminate() == 0
            ruler.terminate()
            ruler.wait(30)
        rulers, nodes, _ = map(objects, logs)
    finally:
        node.process.kill()
        node.process.wait(10)
        cluster.close()
        server.kill()

    ours = [one["message"] for one in nodes if "consumer" not in one["message"]]
    assert sum("no heartbeat" in text for text in ours) == 1
    assert sum("cannot report" in text for text in ours) <= 1
    assert sum("ticks are not sent" in one["message"] for one in rulers) == 1
    assert any("Warm shutdown" in one["message"] for one in rulers)


def test_an_exception_in_a_node_is_one_line(cluster: LiveCluster) -> None:
    program = (
        "import threading, logging\n"
        "from fixwurx_celery.logs import write_log\n"
        "write_log('json', 'program')\n"
        "thread = threading.Thread(target=lambda: 1 / 0, name='heart')\n"
        "thread.start(); thread.join()\n"
        "raise RuntimeError('two\\nlines')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment(cluster.settings), capture_output=True,
        text=True, timeout=30,
    )  # fmt: skip

    told = [json.loads(line) for line in ended.stderr.splitlines()]
    assert ended.returncode == 1
    assert [(one["level"], one["message"]) for one in told] == [
        ("CRITICAL", "the thread heart ends: division by zero"),
        ("CRITICAL", "this process ends: two\nlines"),
    ]
    assert all(one["exception"].startswith("Traceback") for one in told)
