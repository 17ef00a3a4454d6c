"""The installed executable against a real store and real nodes: what it prints, how it exits."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from fixwurx_celery.artifacts import open_artifacts
from fixwurx_celery.domain.bugs import Bug, BugState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from tests.support import cluster as build
from tests.support.processes import NodeProcess, nodes, start_node
from tests.support.server import free_port, server_binary, start_server
from tests.support.state import remove_namespace
from tests.support.surroundings import ROOT, environment
from tests.support.waiting import wait_until

EXECUTABLE = Path(sys.executable).parent / "fixwurx-celery"
STABLE_BUG_KEYS = {
    "id", "state", "worker_id", "epoch", "attempts", "outcome",
    "waited_ms", "setup_ms", "run_ms", "verify_ms",
}  # fmt: skip
STABLE_NODE_KEYS = {
    "worker_id", "state", "total_agents", "free_agents", "capabilities", "health",
}  # fmt: skip
# Celery waits no longer when all that were named have answered.
THE_NODES = ("--timeout", "10", "--destination", "node1@here,node2@here")
FOR_EVER = {"sleep_s": 600}
PATCH = """\
--- a/gcd.py
+++ b/gcd.py
@@ -1 +1 @@
-answer = b
+answer = a
"""

Said = subprocess.CompletedProcess[str]
Cli = Callable[..., Said]


def cli_of(settings: Settings) -> Cli:
    def cli(*arguments: str, stdin: str = "", **more: str) -> Said:
        return subprocess.run(
            [EXECUTABLE, *arguments],
            env=environment(settings, **more),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return cli


def manifest(*bugs: Mapping[str, Any]) -> str:
    """JSON Lines, one for each bug."""
    return "".join(json.dumps(bug) + "\n" for bug in bugs)


def ids(count: int = 1) -> list[str]:
    return [f"b-{uuid.uuid4().hex[:8]}" for _ in range(count)]


# -- a store of its own for each test, nodes that only the store knows of ------------------


@pytest.fixture
def cli(settings: Settings) -> Cli:
    """The executable, on this test's namespace."""
    return cli_of(settings)


def ended(store: ClusterStore, bug_id: str, outcome: Any, state: BugState = BugState.DONE) -> None:
    """A bug that ran on node n0 and ended so."""
    life, _ = build.node(store, f"n-{bug_id}")
    (run,) = build.running(store, life, Bug(id=bug_id))
    assert store.finish(
        run.bug, run.node, run.incarnation, run.epoch, run.runner, state, outcome
    ) is not None  # fmt: skip
    store.retire(life.node, life.incarnation)


def test_lists_have_the_keys_that_programs_rely_on(cli: Cli, live_store: ClusterStore) -> None:
    build.node(live_store, "n1@h", 9, ["python"])
    live_store.submit([Bug(id="BUG-1"), Bug(id="BUG-2", requires=frozenset({"gpu"}))])

    bugs = json.loads(cli("bug", "list", "--json").stdout)
    listed = json.loads(cli("node", "list", "--json").stdout)

    assert [(bug["id"], bug["state"], bug["worker_id"]) for bug in bugs] == [
        ("BUG-1", "ASSIGNED", "n1@h"),
        ("BUG-2", "PENDING", None),
    ]
    assert all(bug.keys() >= STABLE_BUG_KEYS for bug in bugs)
    assert [
        {key: node[key] for key in STABLE_NODE_KEYS} for node in listed
    ] == [
        {"worker_id": "n1@h", "state": "READY", "total_agents": 9, "free_agents": 6,
         "capabilities": ["python"], "health": 1.0},
    ]  # fmt: skip


def test_clocks_and_silence_of_a_running_bug_are_shown(
    cli: Cli, settings: Settings, live_store: ClusterStore
) -> None:
    life, _ = build.node(live_store, "n1@h", 9)
    (run,) = build.running(live_store, life, Bug(id="BUG-1", limits={"waiting": 60, "setup": 900}))
    live_store.report(*astuple(run), phase="VERIFY", log="words\n")
    live_store.submit([Bug(id="BUG-2", agents=9)])
    time.sleep(1.1)  # the age that is shown

    verifying, waiting = json.loads(cli("bug", "list", "--json").stdout)
    shown = cli("bug", "show", "BUG-1").stdout
    (row,) = [line for line in cli("watch", "--once").stdout.splitlines() if "VERIFY" in line]

    clocks = ("waited_ms", "setup_ms", "run_ms", "verify_ms")
    assert [verifying[key] >= 1000 for key in clocks] == [False, False, False, True]
    assert [waiting[key] >= 1000 for key in clocks] == [True, False, False, False]
    assert verifying["printed_ms"] > verifying["started_ms"] - 1
    assert re.search(r"^limits +waiting 60 s, set-up 900 s$", shown, re.MULTILINE)
    assert re.search(r"^clocks .*verify [1-9]\d* s$", shown, re.MULTILINE)
    assert re.search(r"^last output +[1-9]\d* s ago$", shown, re.MULTILINE)
    assert re.search(r"^BUG-1 +VERIFY +verify 0:0[1-9] +0:0[1-9] +0:0[1-9] +n1@h$", row)


def test_an_option_can_be_given_as_a_variable(cli: Cli, live_store: ClusterStore) -> None:
    live_store.submit([Bug(id="BUG-1"), Bug(id="BUG-2")])

    said = cli("bug", "list", FIXWURX_JSON="1", FIXWURX_BUG_LIMIT="1")

    assert [bug["id"] for bug in json.loads(said.stdout)] == ["BUG-1"]


def test_bugs_are_listed_by_state(cli: Cli, live_store: ClusterStore) -> None:
    ended(live_store, "done-1", {"outcome": "FIXED"})
    ended(live_store, "done-2", {"outcome": "NOT_FIXED"})
    ended(live_store, "bad", {"outcome": "ERROR"}, BugState.ESCALATED)
    live_store.submit([Bug(id=f"waits-{i}") for i in range(5)])

    def listed(*arguments: str) -> list[str]:
        said = cli("bug", "list", "--json", *arguments)
        return [bug["id"] for bug in json.loads(said.stdout)]

    assert listed("--state", "done") == ["done-2", "done-1"]
    assert listed("--state", "done", "--limit", "1") == ["done-2"]
    assert set(listed("--state", "ESCALATED", "--state", "DONE")) == {"bad", "done-2", "done-1"}
    assert listed("--state", "pending") == [f"waits-{i}" for i in range(5)]
    assert listed("--state", "running") == []
    assert listed("--limit", "6")[:5] == [f"waits-{i}" for i in range(5)]
    assert len(listed("--limit", "6")) == 6


def test_a_list_says_when_it_is_not_all(cli: Cli, live_store: ClusterStore) -> None:
    live_store.submit([Bug(id="BUG-1"), Bug(id="BUG-2")])

    assert cli("bug", "list", "--limit", "1").stderr == (
        "only the first 1 of 2 are shown; --limit shows more\n"
    )
    assert cli("bug", "list").stderr == ""


def test_unknown_names_meet_the_nearest_known_one(cli: Cli, live_store: ClusterStore) -> None:
    build.node(live_store, "node1@host")
    live_store.submit([Bug(id="BUG-123")])

    for arguments, meant in (
        (("bug", "show", "BUG-132"), "BUG-123"),
        (("bug", "logs", "bug-123"), "BUG-123"),
        (("bug", "patch", "BUG-12"), "BUG-123"),
        (("node", "show", "noed1@host"), "node1@host"),
        (("node", "drain", "node1@hots"), "node1@host"),
    ):
        said = cli(*arguments)
        assert (said.returncode, said.stdout) == (1, ""), arguments
        assert f"did you mean {meant}?" in said.stderr
        assert len(said.stderr.splitlines()) == 1
    said = cli("strategy", "set", "least-conections")
    assert said.returncode == 2
    assert "did you mean LEAST_CONNECTIONS?" in said.stderr


def test_the_patch_is_what_git_takes(
    cli: Cli, live_store: ClusterStore, settings: Settings, tmp_path: Path
) -> None:
    stored = open_artifacts(settings).put(PATCH.encode())
    ended(live_store, "small", {"outcome": "FIXED", "patch": PATCH})
    ended(live_store, "large", {"outcome": "FIXED", "patch": None, "patch_artifact": stored})

    for bug_id in ("small", "large"):
        source = tmp_path / bug_id
        source.mkdir()
        (source / "gcd.py").write_text("answer = b\n")
        said = cli("bug", "patch", bug_id)
        subprocess.run(["git", "apply"], input=said.stdout, text=True, cwd=source, check=True)
        assert (source / "gcd.py").read_text() == "answer = a\n"
        assert json.loads(cli("bug", "patch", bug_id, "--json").stdout) == {
            "id": bug_id,
            "patch": PATCH,
        }


def test_a_bug_without_a_patch_says_why(cli: Cli, live_store: ClusterStore) -> None:
    ended(live_store, "hopeless", {"outcome": "NOT_FIXED", "reason": "no candidate passed"})
    live_store.submit([Bug(id="waits")])

    hopeless, waits = cli("bug", "patch", "hopeless"), cli("bug", "patch", "waits")

    assert (hopeless.returncode, waits.returncode) == (1, 1)
    assert "NOT_FIXED: no candidate passed" in hopeless.stderr
    assert "PENDING" in waits.stderr


def test_several_bugs_are_done_in_part(cli: Cli, live_store: ClusterStore) -> None:
    ended(live_store, "over", {"outcome": "FIXED"})
    live_store.submit([Bug(id="waits")])

    some = cli("bug", "cancel", "waits", "over", "unknown", "--json")
    none = cli("bug", "cancel", "over", "--json")
    again = cli("bug", "retry", "over", "waits", "--json")

    assert [(r["id"], r["done"], r["state"]) for r in json.loads(some.stdout)] == [
        ("waits", True, "CANCELLED"),
        ("over", False, "DONE"),
        ("unknown", False, "UNKNOWN"),
    ]
    assert (some.returncode, none.returncode, again.returncode) == (4, 1, 0)
    assert {live_store.bug(bug).state for bug in ("over", "waits")} == {BugState.PENDING}


def test_a_priority_changes_the_place_in_line(cli: Cli, live_store: ClusterStore) -> None:
    ended(live_store, "over", {"outcome": "FIXED"})
    live_store.submit([Bug(id=name) for name in ("first", "second", "third")])

    some = cli("bug", "prioritise", "7", "third", "over", "--json")
    low = cli("bug", "prioritise", "--", "-3", "first")
    wrong = cli("bug", "prioritise", "1001", "first")

    assert [(r["id"], r["done"], r["state"]) for r in json.loads(some.stdout)] == [
        ("third", True, "PENDING"),
        ("over", False, "DONE"),
    ]
    assert (some.returncode, low.returncode, wrong.returncode) == (4, 0, 2)
    assert "it has its new place in line" in low.stdout
    assert live_store.bug_ids()[:3] == ["third", "second", "first"]
    assert json.loads(cli("bug", "show", "third", "--json").stdout)["priority"] == 7


def test_a_drained_node_gets_nothing_until_it_is_resumed(
    cli: Cli, live_store: ClusterStore
) -> None:
    build.node(live_store, "node1@h")

    drained = cli("node", "drain", "node1", "--json")
    live_store.submit([Bug(id="BUG-1")])
    waiting = live_store.bug("BUG-1").state
    resumed = cli("node", "resume", "node1@h")

    assert json.loads(drained.stdout) == {
        "worker_id": "node1@h", "state": "STOPPING", "running": 0,
    }  # fmt: skip
    assert waiting is BugState.PENDING
    assert resumed.returncode == 0
    assert live_store.bug("BUG-1").state is BugState.ASSIGNED


def test_the_strategy_is_changed_for_all(cli: Cli, live_store: ClusterStore) -> None:
    changed = cli("strategy", "set", "round-robin", "--json")

    assert json.loads(changed.stdout) == {
        "strategy": "ROUND_ROBIN", "before": "WEIGHTED_CAPACITY",
    }  # fmt: skip
    assert live_store.strategy() == "ROUND_ROBIN"
    assert json.loads(cli("strategy", "show", "--json").stdout)["strategy"] == "ROUND_ROBIN"


def test_the_doctor_tells_failures_from_warnings(cli: Cli, live_store: ClusterStore) -> None:
    build.node(live_store, "node1@h", 9)
    well = cli("doctor", "--json")
    live_store.submit([Bug(id="BUG-1", requires=frozenset({"gpu"}))])
    sick = cli("doctor", "--json")

    found = json.loads(well.stdout)
    assert well.returncode == 0
    assert all(entry["level"] in ("OK", "WARN") for entry in found)
    assert all(entry["advice"] for entry in found if entry["level"] == "WARN")
    assert {"store", "store version", "broker", "clock", "nodes", "invariants"} <= {
        entry["what"] for entry in found
    }
    # Only the store knows of this node: it does not answer on the broker.
    assert ("node node1@h", "WARN") in [(entry["what"], entry["level"]) for entry in found]
    assert sick.returncode == 4
    assert [
        (entry["what"], entry["level"])
        for entry in json.loads(sick.stdout)
        if entry["level"] == "FAIL"
    ] == [("waiting bugs", "FAIL")]


def test_the_doctor_says_what_to_do_about_what_is_broken(
    cli: Cli, live_store: ClusterStore
) -> None:
    life, _ = build.node(live_store, "node1@h", 9)
    (done,) = build.running(live_store, life, build.bug("done"))
    build.finish(live_store, done)
    build.running(live_store, life, build.bug("runs"))
    live_store.client.zrem(f"{live_store.prefix}leases", "runs")
    live_store.client.xadd(
        f"{live_store.prefix}events",
        {
            "action": "bug_finished",
            "bug": "done",
            "node": "node1@h",
            "epoch": "1",
            "detail": "DONE",
        },
    )

    said = cli("doctor", "--json")

    broken = [entry for entry in json.loads(said.stdout) if entry["what"] == "invariant"]
    assert said.returncode == 4
    assert {entry["found"].split(" at event")[0]: entry["advice"] for entry in broken}.keys() == {
        "bug runs is RUNNING, and is in node", "bug done: bug_finished",
    }  # fmt: skip
    advice = {entry["found"].split()[1]: entry["advice"] for entry in broken}
    assert "look again in a minute" in advice["runs"]
    assert f"XRANGE {live_store.prefix}events" in advice["done:"]
    assert "fixwurx-celery bug show done" in advice["done:"]


def test_a_store_that_is_not_there_is_one_line_and_status_3(settings: Settings) -> None:
    cli = cli_of(replace(settings, redis_url="redis://:secret@127.0.0.1:1/0"))

    for arguments in (["node", "list"], ["bug", "list", "--json"], ["strategy", "show"]):
        said = cli(*arguments)
        assert (said.returncode, said.stdout) == (3, "")
        assert len(said.stderr.splitlines()) == 1
        assert "cannot reach the store at redis://:***@127.0.0.1:1/0" in said.stderr
    assert cli("doctor").returncode == 3


def test_a_store_that_hangs_is_given_up_after_seconds(settings: Settings, tmp_path: Path) -> None:
    with start_server(tmp_path / "server") as server:
        assert server.process is not None
        cli = cli_of(replace(settings, redis_url=server.url))
        assert cli("node", "list").returncode == 0
        server.process.send_signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            said = cli("node", "list")
            took_s = time.monotonic() - began
        finally:
            server.process.send_signal(signal.SIGCONT)

    assert said.returncode == 3
    assert "no answer within 5 s" in said.stderr
    assert 5 <= took_s < 15  # 5 s, and what a busy machine needs to start Python


def test_a_wrong_password_is_said_at_once(settings: Settings, tmp_path: Path) -> None:
    with start_server(tmp_path / "server") as server:
        wrong = server.url.replace(server.password, "wrong")
        said = cli_of(replace(settings, redis_url=wrong))("node", "list")

    assert said.returncode == 3
    assert "invalid username-password pair" in said.stderr
    assert "wrong" not in said.stderr


def test_the_doctor_refuses_a_server_in_cluster_mode_in_one_sentence(
    settings: Settings, tmp_path: Path
) -> None:
    port = free_port()
    bus_port = free_port()  # left alone it is the port plus 10000, which may be above 65535
    process = subprocess.Popen(
        [server_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "",
         "--cluster-enabled", "yes", "--cluster-port", str(bus_port),
         "--dir", str(tmp_path), "--logfile", "server.log"]
    )  # fmt: skip
    cli = cli_of(replace(settings, redis_url=f"redis://127.0.0.1:{port}/0"))
    try:
        said = wait_until(
            "the server answers the doctor",
            lambda: (answer := cli("doctor", "--json")).returncode != 3 and answer,
            within_s=20,
        )
    finally:
        process.kill()
        process.wait(timeout=10)

    failures = [entry for entry in json.loads(said.stdout) if entry["level"] == "FAIL"]
    assert said.returncode == 4
    assert [entry["what"] for entry in failures] == ["store mode"]
    assert "cluster mode" in failures[0]["found"]


def test_without_a_store_the_way_out_is_said(cli: Cli) -> None:
    said = cli("node", "list", FIXWURX_REDIS_URL="", FIXWURX_STATE_DIR="/nonexistent")

    assert said.returncode == 2
    assert "FIXWURX_REDIS_URL" in said.stderr
    assert "fixwurx-celery run" in said.stderr


def test_the_cluster_of_a_running_up_is_found(
    settings: Settings, live_store: ClusterStore, tmp_path: Path
) -> None:
    live_store.submit([Bug(id="BUG-1")])
    (tmp_path / "up").mkdir()
    lines = [f"export {name}='{value}'" for name, value in settings.environment().items()]
    (tmp_path / "up" / "env").write_text("\n".join(lines) + "\n")
    cli = cli_of(Settings())

    said = cli("bug", "list", "--json", FIXWURX_STATE_DIR=str(tmp_path))
    (tmp_path / "up" / "env").write_text("export FIXWURX_REDIS_URL=redis://127.0.0.1:1/0\n")
    gone = cli("bug", "list", FIXWURX_STATE_DIR=str(tmp_path))

    assert [bug["id"] for bug in json.loads(said.stdout)] == ["BUG-1"]
    assert gone.returncode == 3
    assert "`fixwurx-celery up` has ended" in gone.stderr


@pytest.mark.parametrize("command", [["submit", "-", "--wait"], ["run", "-"]])
def test_what_the_store_loses_while_it_is_waited_for_is_submitted_again(
    settings: Settings, live_store: ClusterStore, tmp_path: Path, command: list[str]
) -> None:
    settings = replace(settings, engine="tests.support.engines:Scripted")
    waiting = subprocess.Popen(
        [EXECUTABLE, *command], env=environment(settings), cwd=tmp_path, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert waiting.stdin is not None
    waiting.stdin.write(manifest({"id": "BUG-1", "steps": [{}]}))
    waiting.stdin.close()
    try:
        wait_until("it is submitted", lambda: live_store.bugs(["BUG-1"]), within_s=20)
        remove_namespace(live_store.client, settings.namespace)
        wait_until("it is submitted again", lambda: live_store.bugs(["BUG-1"]), within_s=20)
    finally:
        waiting.kill()
        assert waiting.stderr is not None
        said = waiting.stderr.read()
        waiting.stderr.close()
        waiting.wait(timeout=10)

    assert "submitted again" in said


def on_terminal(
    settings: Settings, arguments: Sequence[str], columns: int, rows: int = 24
) -> list[str]:
    """What a terminal of that size shows of stdout, in lines, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environ = {**environment(settings), "NO_COLOR": "1", "TERM": "xterm"}
    environ.pop("COLUMNS", None)
    process = subprocess.Popen(
        [EXECUTABLE, *arguments], env=environ, stdout=theirs, stderr=subprocess.DEVNULL
    )
    os.close(theirs)
    output = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # Linux's way of saying that the other end is closed
            break
        if not data:
            break
        output += data
    os.close(ours)
    assert process.wait(timeout=30) == 0
    return output.decode().replace("\r\n", "\n").splitlines()


@pytest.mark.parametrize("columns", [20, 60, 200])
def test_tables_fit_any_terminal(
    settings: Settings, live_store: ClusterStore, columns: int
) -> None:
    ended(live_store, "a-bug-whose-id-is-long", {"outcome": "FIXED", "edit": "x" * 150})
    build.node(live_store, "a-node-with-a-rather-long-name@some.host.example", 9, ["python"])
    live_store.submit([Bug(id="BUG-1")])

    for arguments in (["node", "list"], ["bug", "list"], ["watch", "--once"]):
        lines = on_terminal(settings, arguments, columns)
        assert len(lines) > 1
        assert max(map(cell_len, lines)) <= columns, arguments


def test_elsewhere_nothing_is_shortened(cli: Cli, live_store: ClusterStore) -> None:
    ended(live_store, "BUG-1", {"outcome": "FIXED", "edit": "x" * 300})

    assert "x" * 300 in cli("bug", "list").stdout


def test_a_reader_that_goes_away_is_no_error(settings: Settings, live_store: ClusterStore) -> None:
    live_store.submit([Bug(id=f"BUG-{i}") for i in range(1000)])

    piped = subprocess.run(
        f"{EXECUTABLE} bug list --limit 1000 | head -1",
        shell=True, env=environment(settings), capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert piped.stdout.startswith("ID")
    assert "error" not in piped.stderr.lower()


# -- real nodes ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Real"]:
    """Two real nodes, for all tests below."""
    folder = tmp_path_factory.mktemp("nodes")
    settings = Settings(
        redis_url=redis_url,
        namespace=f"t{uuid.uuid4().hex[:12]}",
        engine="tests.support.engines:Scripted",
        work_dir=str(folder / "work"),
        total_agents=6,
        heartbeat_interval_sec=0.3,
        heartbeat_timeout_sec=3,
        ring_after_sec=1,
        backoff_sec=0.2,
    )
    store = ClusterStore.from_settings(settings)
    with nodes(settings, store, folder, "node1@here", "node2@here") as started:
        yield Real(settings, store, folder, started)
    store.close()


class Real:
    """A cluster of real nodes."""

    def __init__(
        self, settings: Settings, store: ClusterStore, folder: Path, started: list[NodeProcess]
    ) -> None:
        self.settings, self.store, self.folder, self.nodes = settings, store, folder, started
        self.cli = cli_of(settings)

    def submit(self, bug_id: str, *steps: Mapping[str, Any], **fields: Any) -> None:
        said = self.cli(
            "submit", "-", stdin=manifest({"id": bug_id, "steps": list(steps), **fields})
        )
        assert said.returncode == 0, said.stderr

    def wait(self, bug_id: str, state: BugState) -> None:
        wait_until(
            f"{bug_id} is {state}", lambda: self.store.bug(bug_id).state is state, within_s=30
        )


def test_submitted_bugs_are_run_and_their_end_is_waited_for(real: Real) -> None:
    good, bad, large = ids(3)
    bugs = [
        {"id": good, "steps": [{"print": "hello"}]},
        {"id": bad, "steps": [{}], "outcome": {"outcome": "NOT_FIXED", "reason": "none passed"}},
        {"id": large, "steps": [{}], "agents": 700},
    ]

    said = real.cli("submit", "-", "--wait", "--json", stdin=manifest(*bugs))

    result = {entry["id"]: entry for entry in json.loads(said.stdout)}
    assert said.returncode == 4
    assert (result[good]["state"], result[good]["outcome"]["outcome"]) == ("DONE", "FIXED")
    assert (result[bad]["state"], result[bad]["outcome"]["outcome"]) == ("DONE", "NOT_FIXED")
    assert result[large]["state"] == "REFUSED"
    assert "needs 700 agents" in result[large]["reason"]
    assert "[2/2] " in said.stderr
    assert real.cli("bug", "logs", good).stdout == "hello\n"


def test_submitting_has_a_status_for_all_some_and_none(real: Real) -> None:
    one, two = ids(2)

    all_taken = real.cli("submit", "-", stdin=manifest({"id": one, "steps": [{}]}))
    some = real.cli(
        "submit", "-", stdin=manifest({"id": one, "steps": [{}]}, {"id": two, "agents": 700})
    )
    none = real.cli("submit", "-", stdin=manifest({"id": two, "agents": 700}))
    nonsense = real.cli("submit", "-", stdin="bugs: [")
    fixed = real.cli("submit", "-", "--wait", stdin=manifest({"id": one, "steps": [{}]}))

    statuses = [said.returncode for said in (all_taken, some, none, nonsense, fixed)]
    assert statuses == [0, 4, 1, 2, 0]
    assert "it was submitted before" in some.stdout


def test_the_log_of_a_killed_node_can_be_read_and_followed(real: Real) -> None:
    (bug_id,) = ids()
    real.cli("node", "drain", "node1")
    real.cli("node", "drain", "node2")
    doomed = start_node(
        replace(real.settings, capabilities=frozenset({"doomed"})), real.store, "doomed@here",
        real.folder,
    )  # fmt: skip
    try:
        real.submit(bug_id, {"print": "before the end"}, {}, {"sleep_s": 2}, {"print": "after"})
        wait_until(
            "the first line is in the store",
            lambda: "before" in real.store.log(bug_id, 1),
            within_s=30,
        )
        following = subprocess.Popen(
            [EXECUTABLE, "bug", "logs", "-f", bug_id], env=environment(real.settings),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert following.stdout is not None
        assert following.stdout.readline() == "before the end\n"
        doomed.kill()
        real.cli("node", "resume", "node1")
        real.cli("node", "resume", "node2")
        output, words = following.communicate(timeout=60)
    finally:
        if doomed.process.poll() is None:
            doomed.kill()

    assert following.returncode == 0
    assert output.splitlines()[-1] == "after"
    assert f"run 2 of bug {bug_id}, on node" in words
    assert f"bug {bug_id}: FIXED" in words
    assert real.cli("bug", "logs", bug_id, "--attempt", "1").stdout == "before the end\n"
    assert real.cli("bug", "logs", bug_id).stdout.endswith("after\n")
    assert "1 run ended by the death of its node" in real.cli("bug", "show", bug_id).stdout
    assert real.cli("bug", "logs", bug_id, "--attempt", "9").returncode == 1


def test_a_running_bug_is_seen_and_cancelled(real: Real) -> None:
    (bug_id,) = ids()
    real.submit(bug_id, FOR_EVER)
    real.wait(bug_id, BugState.RUNNING)

    listed = json.loads(real.cli("bug", "list", "--state", "RUNNING", "--json").stdout)
    cancelled = json.loads(real.cli("bug", "cancel", bug_id, "--json").stdout)
    real.wait(bug_id, BugState.CANCELLED)

    assert [bug["id"] for bug in listed] == [bug_id]
    assert [(entry["id"], entry["state"]) for entry in cancelled] == [(bug_id, "CANCELLING")]


def test_watching_prints_what_happens(real: Real, tmp_path: Path) -> None:
    output = tmp_path / "watched"
    with output.open("w") as file:
        watching = subprocess.Popen(
            [EXECUTABLE, "watch"],
            env=environment(real.settings),
            stdout=file,
            # Whoever started this suite in the background may have had interrupts ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def is_told() -> bool:  # it begins with what happens after it started
        (bug_id,) = ids()
        real.submit(bug_id, {})
        real.wait(bug_id, BugState.DONE)
        text = output.read_text()
        return f"bug assigned {bug_id} on node" in text and f"bug finished {bug_id} on" in text

    try:
        wait_until("a bug's way is told", is_told, within_s=40)
    finally:
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=20) == 130


def celery(settings: Settings, *arguments: str) -> str:
    """What Celery's own command says of the cluster."""
    said = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "fixwurx_celery", *arguments, *THE_NODES],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode == 0, said.stderr
    return said.stdout


def test_celerys_own_commands_see_the_nodes(real: Real) -> None:
    (bug_id,) = ids()
    real.submit(bug_id, FOR_EVER)
    real.wait(bug_id, BugState.RUNNING)
    node = real.store.bug(bug_id).worker_id

    ping = json.loads(celery(real.settings, "inspect", "ping", "--json"))
    active = json.loads(celery(real.settings, "inspect", "active", "--json"))
    registered = json.loads(celery(real.settings, "inspect", "registered", "--json"))
    status = celery(real.settings, "status")
    real.cli("bug", "cancel", bug_id)
    real.wait(bug_id, BugState.CANCELLED)

    names = {"node1@here", "node2@here"}
    assert names <= ping.keys()
    assert {name: [task["args"][0] for task in tasks] for name, tasks in active.items()} == {
        **{name: [] for name in names},
        node: [bug_id],
    }
    assert all(registered[name] == ["fixwurx.process_bug"] for name in names)
    assert all(f"{name}: OK" in status for name in names)


def test_the_deployed_celery_settings_name_the_same_cluster(real: Real) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "celery", "--config", "celeryconfig", "inspect", "ping",
         "--json", *THE_NODES],
        env=environment(real.settings), cwd=ROOT,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert {"node1@here", "node2@here"} <= json.loads(said.stdout).keys(), said.stderr


@pytest.mark.slow
def test_flower_shows_nodes_and_bugs(real: Real, tmp_path: Path) -> None:
    pytest.importorskip("flower")
    port, (bug_id,) = free_port(), ids()
    address = f"http://127.0.0.1:{port}"
    flower = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "fixwurx_celery", "flower",
         "--address=127.0.0.1", f"--port={port}"],
        env=environment(real.settings, FLOWER_UNAUTHENTICATED_API="1"), cwd=tmp_path,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def asked(path: str) -> Any:
        try:
            with urllib.request.urlopen(f"{address}{path}", timeout=20) as answer:
                return json.load(answer)
        except OSError:
            return None

    try:
        workers = wait_until(
            "flower sees both nodes",
            lambda: (seen := asked("/api/workers?refresh=1")) and len(seen) >= 2 and seen,
            within_s=60,
        )
        real.submit(bug_id, {})
        real.wait(bug_id, BugState.DONE)
        tasks = wait_until(
            "flower has seen the bug's task end",
            lambda: [
                task
                for task in (asked("/api/tasks") or {}).values()
                if f"'{bug_id}'" in task["args"] and task["state"] == "SUCCESS"
            ],
            within_s=30,
        )
    finally:
        flower.terminate()
        flower.wait(timeout=20)

    assert {"node1@here", "node2@here"} <= workers.keys()
    assert workers["node1@here"]["active_queues"][0]["name"] == "fixwurx.node.node1@here"
    assert tasks[0]["name"] == "fixwurx.process_bug"
