"""`fixwurx-celery run` and `up`, as a user types them: what they print, leave and answer."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.commands import Desk, desk
from tests.support.surroundings import ROOT
from tests.support.terminal import terminal
from tests.support.waiting import wait_until

SHIPPED = "fixwurx_celery.engine:triangulation"
LITTER = {"children": "left-behind"}

BROKEN = """\
def gcd(a, b):
    while b:
        a, b = b, a % b
    return b
"""
TEST = """\
from gcd import gcd


def test_gcd():
    assert gcd(12, 18) == 6
    assert gcd(7, 3) == 1
"""


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as made:
        yield made


def quick(bug_id: str, **more: Any) -> dict[str, Any]:
    return {"id": bug_id, "steps": [{}], "outcome": {"outcome": "FIXED", "patch": "x\n"}} | more


def endless(bug_id: str, **more: Any) -> dict[str, Any]:
    """Runs for as long as anyone lets it, and litters."""
    steps = [{"note": f"{bug_id}.ran", **LITTER}, *([{"sleep_s": 0.1}] * 10_000)]
    return {"id": bug_id, "steps": steps} | more


def has_begun(at: Desk, bug_id: str) -> None:
    wait_until(f"{bug_id} has begun", (at.folder / f"{bug_id}.ran").exists, within_s=40)


def in_jail(at: Desk) -> int:
    """How many of the processes left behind on purpose are alive."""
    return len(at.named("left-behind"))


# -- what it is for --------------------------------------------------------------------------


def test_a_broken_repository_goes_in_and_a_patch_that_applies_comes_out_once(at: Desk) -> None:
    repo = at.folder / "repo"
    repo.mkdir()
    (repo / "gcd.py").write_text(BROKEN)
    (repo / "test_gcd.py").write_text(TEST)
    (at.folder / "bugs.yaml").write_text(
        "bugs:\n"
        "  - id: gcd\n"
        "    source: {path: repo}\n"
        f"    reproduce: {sys.executable} -m pytest -q -x -p no:cacheprovider\n"
        "    timeout: 90\n"
    )

    first = at.run("run", "bugs.yaml", FIXWURX_ENGINE=SHIPPED, within_s=100)

    assert first.status == 0, first.err
    assert "1 of 1 fixed" in first.out
    repaired = shutil.copytree(repo, at.folder / "repaired")
    subprocess.run(["git", "apply", at.out / "gcd.patch"], cwd=repaired, check=True)
    passed = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=repaired, check=False)
    assert passed.returncode == 0
    (line,) = at.results()
    assert {key: line[key] for key in ("id", "outcome", "patch", "attempts")} == {
        "id": "gcd",
        "outcome": "FIXED",
        "patch": "gcd.patch",
        "attempts": 1,
    }
    assert (at.out / "logs" / "gcd.1.log").read_text()
    at.check_nothing_is_left()
    assert not list((at.state / "runs").iterdir())

    again = at.run("run", "bugs.yaml", FIXWURX_ENGINE=SHIPPED, within_s=10)

    assert again.status == 0
    assert "answered earlier" in again.out
    assert at.results() == [line]
    assert not list((at.state / "runs").iterdir())


def test_only_answers_are_kept_and_the_rest_is_done_again(at: Desk) -> None:
    note = {"note": "ran"}
    outcomes = ("FIXED", "NOT_FIXED", "NOT_REPRODUCED", "ERROR")
    bugs = [quick(name.lower(), steps=[note], outcome={"outcome": name}) for name in outcomes]
    manifest = at.bugs(*bugs, endless("slow", timeout=2))

    first = at.run("run", manifest, "--json")
    ran_first = (at.folder / "ran").read_text().count("\n")
    second = at.run("run", manifest, "--json")
    ran_again = (at.folder / "ran").read_text().splitlines()[ran_first:]

    expected = {name.lower(): name for name in outcomes} | {"slow": "TIMED_OUT"}
    for ended in (first, second):
        told = [json.loads(line) for line in ended.out.splitlines()]
        assert ended.status == 4, ended.err
        assert {line["id"]: line["outcome"] for line in told} == expected
    assert [json.loads(line)["bug"] for line in ran_again] == ["error"]
    assert len(at.results()) == 5 + 2
    at.check_nothing_is_left()


@pytest.mark.slow
def test_a_bug_that_has_changed_is_done_again_and_a_torn_line_is_tolerated(at: Desk) -> None:
    at.run("run", at.bugs(quick("a"), quick("b")))
    with (at.out / "results.jsonl").open("a") as file:
        file.write('{"id": "b", "outcome": "NOT_')
    changed = quick("a", outcome={"outcome": "NOT_FIXED", "reason": "asked anew"})

    ended = at.run("run", at.bugs(changed, quick("b")))

    assert ended.status == 4
    assert [line["id"] for line in at.results()].count("b") == 1
    assert at.outcomes() == {"a": "NOT_FIXED", "b": "FIXED"}
    assert not (at.out / "a.patch").exists()
    assert (at.out / "b.patch").read_text() == "x\n"


@pytest.mark.slow
def test_predictions_are_written_for_answers_only(at: Desk) -> None:
    bugs = [quick("good"), quick("bad", outcome={"outcome": "NOT_FIXED"})]
    bugs.append(quick("broken", outcome={"outcome": "ERROR", "reason": "disk full"}))

    ended = at.run("run", at.bugs(*bugs), "--format", "swebench")

    lines = (at.out / "predictions.jsonl").read_text().splitlines()
    told = {line["instance_id"]: line["model_patch"] for line in map(json.loads, lines)}
    assert ended.status == 4
    assert told == {"good": "x\n", "bad": ""}


# -- clocks ----------------------------------------------------------------------------------


def test_each_bug_ends_at_the_limit_of_its_clock_and_its_clocks_are_written_down(at: Desk) -> None:
    hang = {"sleep_s": 600}
    manifest = at.bugs(
        quick("good", phase="TRIAGE", steps=[{"sleep_s": 1, "then": "VERIFY"}, {}]),
        {"id": "setup", "phase": "TRIAGE", "steps": [hang], "limits": {"setup": 1}},
        {"id": "run", "phase": "REPRO", "steps": [hang], "timeout": 1},
        {"id": "waiting", "agents": 3, "priority": -1, "steps": [{}], "limits": {"waiting": 0.5}},
    )

    ended = at.run("run", manifest)

    lines = {line["id"]: line for line in at.results()}
    assert ended.status == 4, ended.err
    assert at.outcomes() == {
        "good": "FIXED", "setup": "TIMED_OUT", "run": "TIMED_OUT", "waiting": "TIMED_OUT",
    }  # fmt: skip
    assert lines["setup"]["reason"].startswith("its set-up limit of 1 s passed in phase TRIAGE")
    assert lines["run"]["reason"].startswith("its time limit of 1 s")
    assert lines["waiting"]["reason"].startswith("its waiting limit of 0.5 s passed")
    clocks = {bug: line["clocks"] for bug, line in lines.items()}
    assert all(list(each) == ["waiting", "setup", "run", "verify"] for each in clocks.values())
    assert clocks["good"]["setup"] >= 1
    assert (clocks["setup"]["setup"] >= 1, clocks["setup"]["run"]) == (True, 0)
    assert clocks["run"]["run"] >= 0.9
    assert clocks["waiting"]["waiting"] >= 0.5
    assert (lines["waiting"]["attempts"], lines["waiting"]["seconds"]) == (0, None)


def test_a_bug_that_is_done_again_gets_the_limits_of_now(at: Desk) -> None:
    steps = [{"sleep_s": 2}]

    for limits in ({"timeout": 0.5}, {"timeout": 1}, {"timeout": 0.5, "limits": {"run": 30}}):
        ended = at.run("run", at.bugs(quick("a", steps=steps, **limits)))

    assert ended.status == 0, ended.err
    reasons = [line["reason"] for line in at.results()]
    assert reasons[0].startswith("its time limit of 0.5 s")
    assert reasons[1].startswith("its time limit of 1 s")
    assert [line["id"] for line in at.results()] == ["a", "a", "a"]


def test_a_terminal_shows_how_long_a_bug_has_run_and_has_been_silent(at: Desk) -> None:
    steps = [{"print": "words", "then": "ANALYZE"}, {"sleep_s": 600}]
    manifest = at.bugs({"id": "quiet", "steps": steps, "timeout": 90})
    row = re.compile(r"^quiet  ANALYZE +run 0:(\d\d) of 1:30 +0:(\d\d) +0:(\d\d)  node1$", re.M)

    def is_silent(text: str) -> bool:
        found = row.search(text)
        return bool(found) and 3 <= int(found[3]) <= int(found[1]) + 1 <= int(found[2]) + 1

    with terminal(at.command("run", manifest), at.variables(), columns=120, folder=at.folder) as t:
        t.shows("its silence is shown", is_silent, within_s=40)
        assert "1 running, 0 waiting" in t.text()
    at.check_nothing_is_left()


# -- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "error: bugs.yaml: it is empty"),
        ("\x7fELF\0", "error: bugs.yaml:1: it is binary"),
        ("bugs: [{id: a, agnets: 1}]", "error: bugs.yaml:1: bug a: unknown field 'agnets'; did"),
        ("bugs: [{id: a}, {id: a}]", "error: bugs.yaml:1: bug a: id 'a' is taken by the bug at"),
        ("bugs: [{id: a, agents: 99}]", "error: bugs.yaml:1: bug a: agents 99 is more than any"),
        ("bugs: [{id: a, source: {path: no}}]", "bug a: source.path no does not exist"),
        ("bugs: {", "error: bugs.yaml:2: not YAML"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_anything_starts(at: Desk, content: str, expected: str) -> None:
    (at.folder / "bugs.yaml").write_text(content + "\n" if content else "")

    ended = at.run("run", "bugs.yaml", FIXWURX_ENGINE=SHIPPED, within_s=10)

    assert ended.status == 2
    assert expected in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert [entry.name for entry in at.folder.iterdir()] == ["bugs.yaml"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--node", "many"], "--node: node 'many' must begin with its agents, 1 to 1024"),
        (["--nodes", "1", "--node", "3", "--node", "3"], "--nodes 1 is fewer than the 2 given"),
        (["--nodes", "0"], "0: there are 1 to 64 nodes"),
        (["--nodes", "0..2"], "0..2: there is at least 1 node"),
        (["--nodes", "1..65"], "1..65: there are 1 to 64 nodes"),
        (["--nodes", "4..1"], "4..1: the first must not be larger; write 1..4"),
        (["--nodes", "1-4"], "'1-4' is no number of nodes; write for example 3, or 1..4"),
        (["--nodes", "1..3", "--node", "3", "--node", "3"], "--nodes 1 is fewer than the 2 given"),
        (["--timeout", "0"], "0.0 is not in the range"),
        (["--nods", "2"], "No such option"),
    ],
)
def test_wrong_usage_is_refused(at: Desk, arguments: list[str], expected: str) -> None:
    ended = at.run("run", at.bugs(quick("a")), *arguments, within_s=10)

    assert ended.status == 2
    assert expected in ended.err
    assert not at.out.exists()


def test_a_store_that_is_not_there_is_said_with_status_3(at: Desk) -> None:
    ended = at.run("run", at.bugs(quick("a")), FIXWURX_REDIS_URL="redis://127.0.0.1:1/0")

    assert ended.status == 3
    assert "redis://127.0.0.1:1/0" in ended.err
    assert "Traceback" not in ended.err


# -- endings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "when",
    [
        pytest.param("the store has just come up", marks=pytest.mark.slow),
        "bugs are running",
    ],
)
def test_kill_9_of_the_command_leaves_nothing_and_the_next_run_goes_on(at: Desk, when: str) -> None:
    manifest = at.bugs(quick("a", priority=1), endless("b"))
    command = at.start("run", manifest)
    port = at.port()
    if when == "bugs are running":
        has_begun(at, "b")
        wait_until("a has ended", lambda: at.outcomes().get("a"), within_s=30)
        wait_until("it has left processes about", lambda: in_jail(at) == 2)

    command.kill()
    at.check_nothing_is_left(port)
    answered = len(at.results())
    ended = at.run("run", at.bugs(quick("a", priority=1), quick("b")))

    assert ended.status == 0, ended.err
    assert at.outcomes() == {"a": "FIXED", "b": "FIXED"}
    assert [line["id"] for line in at.results()].count("a") == 1
    assert answered == (1 if when == "bugs are running" else 0)
    at.check_nothing_is_left()


def test_ctrl_c_lets_running_bugs_end_and_begins_no_other(at: Desk) -> None:
    gate = [{"note": "first.ran"}, {"sleep_s": 4}]
    manifest = at.bugs(quick("first", agents=3, steps=gate), quick("second", agents=3))
    command = at.start("run", manifest)
    has_begun(at, "first")

    command.interrupt()
    ended = command.end()

    assert ended.status == 130
    assert at.outcomes() == {"first": "FIXED"}
    assert "not begun" in ended.out
    assert "go on with: fixwurx-celery run bugs.jsonl" in ended.err
    at.check_nothing_is_left()
    assert at.run("run", manifest).status == 0
    assert [line["id"] for line in at.results()] == ["first", "second"]


def test_ctrl_c_twice_cancels_what_runs_and_kills_what_it_started(at: Desk) -> None:
    command = at.start("run", at.bugs(endless("a"), quick("b", agents=3)))
    port = at.port()
    has_begun(at, "a")

    command.interrupt()
    wait_until("the first Ctrl-C is heard", lambda: at.processes(), within_s=5)
    with contextlib.suppress(subprocess.TimeoutExpired):
        command.process.wait(timeout=1)
    command.interrupt()
    ended = command.end(within_s=25)

    assert ended.status == 130, ended.err
    assert at.outcomes() == {"a": "CANCELLED"}
    assert "the running bugs are cancelled" in ended.err
    at.check_nothing_is_left(port)


@pytest.mark.slow
def test_ctrl_c_three_times_ends_at_once(at: Desk) -> None:
    command = at.start("run", at.bugs(endless("a")))
    has_begun(at, "a")

    for _ in range(3):
        command.interrupt()
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.process.wait(timeout=0.5)
    ended = command.end(within_s=5)

    assert ended.status == 130
    assert "Traceback" not in ended.err
    at.check_nothing_is_left()


@pytest.mark.slow
def test_sigterm_cancels_and_says_so_by_its_status(at: Desk) -> None:
    command = at.start("run", at.bugs(endless("a")))
    has_begun(at, "a")

    command.process.terminate()
    ended = command.end(within_s=25)

    assert ended.status == 128 + 15
    assert at.outcomes() == {"a": "CANCELLED"}
    at.check_nothing_is_left()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("--max-time=6", "--max-time has passed"),
        ("--max-failures=1", "1 bug not fixed (--max-failures)"),
    ],
)
def test_after_a_limit_nothing_begins(at: Desk, limit: str, words: str) -> None:
    fails = quick("a", agents=3, priority=9, steps=[{"sleep_s": 8}], outcome={"outcome": "ERROR"})
    manifest = at.bugs(fails, *(endless(f"b{n}", agents=3, timeout=3) for n in range(5)))

    ended = at.run("run", manifest, limit)

    assert ended.status == 4
    assert words in ended.err
    assert len(at.results()) in (1, 2)
    assert ended.out.count("not begun") >= 4


# -- two at once, and faults -----------------------------------------------------------------


def test_a_second_run_into_the_same_folder_is_refused_and_another_folder_is_not(at: Desk) -> None:
    manifest = at.bugs(endless("a"))
    first = at.start("run", manifest)
    has_begun(at, "a")

    same = at.run("run", manifest, within_s=10)
    other = at.run("run", at.bugs(quick("b")), "-o", "elsewhere")

    assert same.status == 1
    assert "another run is writing to out; wait until it has ended, or name another" in same.err
    assert other.status == 0, other.err
    first.kill()
    at.check_nothing_is_left()


@pytest.mark.slow
def test_no_password_is_on_any_command_line_and_the_store_wants_one(at: Desk) -> None:
    import redis

    command = at.start("run", at.bugs(endless("a")))
    port = at.port()
    has_begun(at, "a")

    (guardian, *_) = at.named("embedded.guardian")
    (node, *_) = at.named("-n node1@")
    url = node.environ()["FIXWURX_REDIS_URL"]
    password = url.partition("://:")[2].partition("@")[0]
    lines = "\n".join(" ".join(process.cmdline()) for process in at.processes())
    assert len(password) > 20
    assert password not in lines
    assert password not in " ".join(guardian.environ().values())
    with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    assert at.named("valkey-server")[0].net_connections()[0].laddr.ip == "127.0.0.1"
    command.kill()
    at.check_nothing_is_left(port)


@pytest.mark.slow
def test_every_line_of_the_logs_of_a_run_parses_where_json_is_asked_for(at: Desk) -> None:
    steps = [{"note": "a.ran"}, *([{"sleep_s": 0.2}] * 15)]
    fails = quick("b", agents=3, outcome={"outcome": "ERROR", "reason": "kept, with its logs"})
    command = at.start(
        "run", at.bugs(quick("a", agents=3, steps=steps), fails), "--nodes", "1..2",
        FIXWURX_LOG_FORMAT="json",
    )  # fmt: skip
    has_begun(at, "a")
    at.named("-n node1@")[0].kill()
    ended = command.end(within_s=90)

    (folder,) = (at.state / "runs").glob("*/logs")
    told = {
        path.stem: [json.loads(line) for line in path.read_text().splitlines()]
        for path in folder.rglob("*.log")
        if path.stem != "store"
    }
    assert ended.status == 4, ended.err
    assert {"guardian", "supervisor", "controller", "node1"} <= told.keys()
    assert all(lines and all(line["time"] for line in lines) for lines in told.values())
    killed = [line for line in told["guardian"] if "ended with status -9" in line["message"]]
    assert [line["level"] for line in killed] == ["WARNING"]
    assert killed[0]["node"].startswith("node1@")
    lines_of_all = [line for lines in told.values() for line in lines]
    of_a = [line for line in lines_of_all if line.get("bug") == "a" and "event" in line]
    way = [line["event"] for line in sorted(of_a, key=lambda line: (line["epoch"], line["time"]))]
    assert (way[0], way[-2:]) == ("bug_started", ["bug_started", "bug_finished"])


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["-n node1@", "valkey-server"])
def test_what_dies_under_a_run_is_started_again_and_no_bug_is_lost(at: Desk, victim: str) -> None:
    gate = [{"note": "a.ran"}, *([{"sleep_s": 0.2}] * 20)]
    command = at.start("run", at.bugs(quick("a", steps=gate), quick("b", agents=3)))
    has_begun(at, "a")

    at.named(victim)[0].kill()
    ended = command.end(within_s=90)

    assert ended.status == 0, ended.err
    assert "it starts again in" in ended.err
    assert at.outcomes() == {"a": "FIXED", "b": "FIXED"}
    at.check_nothing_is_left()


@pytest.mark.slow
def test_kill_9_of_the_guardian_ends_everything_and_the_command_says_so(at: Desk) -> None:
    command = at.start("run", at.bugs(endless("a")))
    port = at.port()
    has_begun(at, "a")

    at.named("embedded.guardian")[0].kill()
    ended = command.end()

    assert ended.status in (1, 3)
    assert "error: " in ended.err
    assert "Traceback" not in ended.err
    at.check_nothing_is_left(port)


@pytest.mark.slow
def test_a_node_that_cannot_start_ends_the_run_with_its_last_words(at: Desk) -> None:
    (at.folder / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'node1@%h' in sys.orig_argv:\n    raise SystemExit('no luck on this machine')\n"
    )

    ended = at.run("run", at.bugs(quick("a")), PYTHONPATH=f"{at.folder}:{ROOT}")

    assert ended.status == 1
    assert "node1 cannot be kept running" in ended.err
    assert "no luck on this machine" in ended.err
    at.check_nothing_is_left()


# -- between two numbers of nodes ------------------------------------------------------------


def many(count: int, **more: Any) -> list[dict[str, Any]]:
    """Bugs each of which fills a node for two seconds."""
    return [quick(f"b{n}", agents=3, steps=[{"sleep_s": 0.5}] * 4, **more) for n in range(count)]


def launched(at: Desk) -> int:
    """A bug runs on a node that was added; the main process of that node."""
    wait_until("a node was added", lambda: at.named("-n auto1@"), within_s=30)
    node = at.named("-n auto1@")[0]
    wait_until("it runs a bug", lambda: len(in_session_of_engines(at, node.pid)), within_s=30)
    return node.pid


def in_session_of_engines(at: Desk, main: int) -> list[int]:
    """What bugs of the node have started, beyond the processes of the node itself."""
    below = {child.pid for child in psutil.Process(main).children(recursive=True)}
    return [process.pid for process in at.named("left-behind") if process.pid in below]


def test_more_nodes_are_started_while_bugs_wait_and_all_end_with_the_run(at: Desk) -> None:
    ended = at.run("run", at.bugs(*many(6)), "--nodes", "1..3")

    assert ended.status == 0, ended.err
    assert (
        "6 bugs on 1 node of this machine with 3 agents, and up to 3 nodes if needed" in ended.err
    )
    (why,) = [line for line in ended.err.splitlines() if line.startswith("scaling out: ")]
    assert re.search("3 of 3 agents on 1 node at work, . bugs waiting for .* agents: ", why)
    assert "; 2 nodes to start (max_workers=3)" in why
    nodes = {line["node"].partition("@")[0] for line in at.results()}
    assert nodes >= {"node1", "auto1"}
    at.check_nothing_is_left()


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["command", "embedded.guardian", "providers.supervisor"])
def test_kill_9_ends_nodes_that_were_added_too(at: Desk, victim: str) -> None:
    # It litters every second, and so does the run that goes on where the first was.
    again = [dict(LITTER), *([{"sleep_s": 0.1}] * 9)] * 1000
    command = at.start(
        "run", at.bugs(endless("a", agents=3), endless("b", agents=3, steps=again)),
        "--nodes", "1..2",
    )  # fmt: skip
    port = at.port()
    node = launched(at)

    if victim == "command":
        command.kill()
    else:
        at.named(victim)[0].kill()
    wait_until("the node is gone", lambda: not psutil.pid_exists(node))
    if victim == "providers.supervisor":
        # It is started again, and the bug goes on in a node that is added anew.
        launched(at)
        command.kill()
    command.process.communicate(timeout=20)

    at.check_nothing_is_left(port)


@pytest.mark.slow
def test_ctrl_c_ends_nodes_that_were_added_too(at: Desk) -> None:
    command = at.start("run", at.bugs(endless("a", agents=3), endless("b", agents=3)),
                       "--nodes", "1..2")  # fmt: skip
    launched(at)

    for _ in range(3):
        command.interrupt()
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.process.wait(timeout=0.5)

    assert command.end(within_s=5).status == 130
    at.check_nothing_is_left()


@pytest.mark.slow
def test_up_adds_nodes_and_takes_them_away_when_they_have_nothing_to_do(at: Desk) -> None:
    cluster = at.start("up", "--nodes", "0..2")
    file = at.state / "up" / "env"
    wait_until("up has written its address", file.exists, within_s=20)
    exports = [line.removeprefix("export ") for line in file.read_text().splitlines()]
    there = dict(line.split("=", 1) for line in exports)

    run = at.run("run", at.bugs(*many(6)), **there)
    assert "warning" not in run.err
    wait_until("the added nodes are gone", lambda: not at.named("-n auto"), within_s=60)
    cluster.interrupt()
    ended = cluster.end()

    assert run.status == 0, run.err
    assert "ready: nodes start when there are bugs for them" in ended.out
    assert "scaling out: " in ended.out
    assert "scaling in: " in ended.out
    assert ended.status == 0
    at.check_nothing_is_left()


# -- on a cluster that runs ------------------------------------------------------------------


def test_up_serves_runs_which_leave_their_bugs_to_it_at_ctrl_c(at: Desk) -> None:
    cluster = at.start("up")
    file = at.state / "up" / "env"
    wait_until("up has written its address", file.exists, within_s=20)
    assert file.stat().st_mode & 0o777 == 0o600
    exports = [line.removeprefix("export ") for line in file.read_text().splitlines()]
    there = dict(line.split("=", 1) for line in exports)
    gate = [{"note": "a.ran"}, {"sleep_s": 3}]
    manifest = at.bugs(quick("a", steps=gate))

    run = at.start("run", manifest, **there)
    has_begun(at, "a")
    run.interrupt()
    left = run.end(within_s=10)
    again = at.run("run", manifest, **there)
    cluster.interrupt()
    down = cluster.end(within_s=25)

    assert left.status == 130
    assert "1 bug goes on without this command" in left.err
    assert again.status == 0, again.err
    assert (at.folder / "a.ran").read_text().count("\n") == 1
    assert (down.status, "1 node with 3 agents" in down.out) == (0, True)
    assert not file.exists()
    at.check_nothing_is_left()
