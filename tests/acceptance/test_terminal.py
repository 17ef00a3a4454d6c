"""What people see: commands in terminals of any size, in logs of CI systems, and in pipes."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from fixwurx_celery.domain.bugs import Bug, BugState
from fixwurx_celery.domain.nodes import BalancingStrategy
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from tests.support import cluster as build
from tests.support.commands import Desk, desk
from tests.support.controllers import command
from tests.support.live_cluster import LiveCluster
from tests.support.server import start_server
from tests.support.surroundings import environment
from tests.support.terminal import Terminal, terminal
from tests.support.waiting import wait_until

HOSTILE = "修正済み \x1b[2J\x1b]0;pwned\x07\x9b31m 👩\u200d👧 \u202e line\nend"
SIZES = [(40, 12), (80, 24), (120, 40), (200, 50)]


def busy_cluster(store: ClusterStore, nodes: int = 3) -> None:
    """Nodes, each with a bug in a phase that somebody made up, a bug that ended, and others."""
    lives = {
        f"node{n}@host-with-a-long-name": build.node(store, f"node{n}@host-with-a-long-name", 3)[0]
        for n in range(1, nodes + 1)
    }
    _, assigned = store.submit([Bug(id=f"issue-{n:03}-that-is-long") for n in range(nodes + 5)])
    for number, each in enumerate(assigned):
        run = build.start(store, each, lives[each.worker_id], f"r{number}")
        store.report(*astuple(run), phase=HOSTILE if number else "VERIFY", log="words\n")
    outcome = {"outcome": "ERROR", "reason": HOSTILE}
    assert store.finish(*astuple(run), BugState.ESCALATED, outcome) is not None


@pytest.fixture
def cluster_settings(settings: Settings) -> Settings:
    """Nobody beats the hearts of these nodes."""
    return replace(settings, heartbeat_timeout_sec=3000, lease_sec=3000)


@pytest.fixture
def store(cluster_settings: Settings) -> Iterator[ClusterStore]:
    made = ClusterStore.from_settings(cluster_settings)
    yield made
    made.close()


def printable(written: bytes) -> bool:
    """Whether there is nothing in it but text and line ends."""
    return all(char in "\r\n" or char.isprintable() for char in written.decode())


def without_codes(written: bytes) -> str:
    """What was written besides what draws: moves of the cursor, modes, styles."""
    return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", written).decode()


# -- watch, on a terminal --------------------------------------------------------------------


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_the_picture_fits_and_sums_up_what_does_not(
    cluster_settings: Settings, store: ClusterStore, columns: int, rows: int
) -> None:
    busy_cluster(store, nodes=100)

    with terminal(
        command("watch"), environment(cluster_settings), columns=columns, rows=rows
    ) as seen:  # fmt: skip
        text = seen.shows("the picture", lambda text: "agents busy" in text)
        lines = seen.lines()
        seen.type(b"q")
        assert seen.ends() == 0

    assert "of 300 agents busy" in lines[0]
    shown = sum(line.startswith("node") for line in lines)
    more = re.search(r"^and (\d+) more nodes", text, re.M)
    assert more
    assert shown >= 1
    assert shown + int(more[1]) == 100
    assert sum("issue-" in line for line in lines) >= 2
    # A line that was too wide would go on in the next one, which then begins with anything.
    begins = re.compile(r"\d\d:\d\d|node|NODE|and |issue-|BUG |ENDED|\d+ bugs? |of |scaled |$")
    assert [line for line in lines[1:] if not begins.match(line)] == []
    assert without_codes(bytes(seen.written)).isprintable()
    assert b"\x07" not in seen.written


def test_another_size_is_another_picture_at_once(
    cluster_settings: Settings, store: ClusterStore
) -> None:
    busy_cluster(store)

    with terminal(
        command("watch", "--interval", "3600"), environment(cluster_settings), columns=120, rows=30
    ) as seen:
        seen.shows("the wide picture", lambda text: "CAPABILITIES" in text)
        seen.resize(40, 12)
        narrow = seen.shows("the narrow one", lambda text: "CAPABILITIES" not in text, within_s=3)
        seen.resize(200, 50)
        seen.shows("the wide one again", lambda text: "CAPABILITIES" in text, within_s=3)

    assert len(narrow.splitlines()) <= 12
    assert "of 9 agents busy" in narrow


@pytest.mark.parametrize(
    ("how", "status"), [(b"\x03", 0), (b"q", 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_the_terminal_is_left_as_it_was(
    cluster_settings: Settings, store: ClusterStore, how: bytes | signal.Signals, status: int
) -> None:
    busy_cluster(store)

    with terminal(command("watch"), environment(cluster_settings)) as seen:
        before = seen.attributes()
        seen.shows("the picture", lambda text: "agents busy" in text)
        within = (seen.is_own_screen, seen.has_cursor, seen.attributes() == before)
        seen.type(b"typed blindly")
        if isinstance(how, bytes):
            seen.type(how)
        else:
            seen.process.send_signal(how)
        ended = seen.ends()

        assert within == (True, False, False)
        assert ended == status
        assert (seen.is_own_screen, seen.has_cursor) == (False, True)
        assert seen.attributes() == before
        assert b"typed" not in seen.written
        assert b"Traceback" not in seen.written


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(
    cluster_settings: Settings, store: ClusterStore
) -> None:
    busy_cluster(store)
    shell = ["bash", "--norc", "--noprofile", "-i"]
    given = {**environment(cluster_settings), "PS1": "$ ", "PY": sys.executable}
    watch = b"$PY -c 'from fixwurx_celery.cli import main; main()' watch\n"

    with terminal(shell, given) as seen:
        seen.shows("a prompt", lambda text: text.endswith("$"))
        seen.type(watch)
        seen.shows("the picture", lambda text: seen.is_own_screen and "agents busy" in text)
        seen.type(b"\x1a")
        wait_until("it is stopped", lambda: b"Stopped" in (seen.read(0.05), seen.written)[1])
        suspended = (seen.is_own_screen, seen.has_cursor)
        seen.type(b"fg\n")
        wait_until("it is drawn again", lambda: (seen.read(0.05), seen.is_own_screen)[1])
        seen.shows("the picture again", lambda text: "agents busy" in text)
        seen.type(b"q")
        wait_until("it has ended", lambda: (seen.read(0.05), not seen.is_own_screen)[1])

    assert suspended == (False, True)


def test_only_what_changes_is_drawn(cluster_settings: Settings, store: ClusterStore) -> None:
    busy_cluster(store)

    with terminal(command("watch", "--interval", "0.2"), environment(cluster_settings)) as seen:
        seen.shows("the picture", lambda text: "agents busy" in text)
        seen.read(1)
        before = len(seen.written)
        seen.read(2)

        assert 0 < len(seen.written) - before < 3000  # a picture of 80x24 has some 2 kB, ten times
        assert b"\x1b[2J" not in seen.written[before:]


def test_a_store_that_is_away_leaves_the_last_picture_pale_and_comes_back(tmp_path: Path) -> None:
    with start_server(tmp_path / "server", append_only=True) as server:
        settings = Settings(redis_url=server.url, heartbeat_timeout_sec=3000, lease_sec=3000)
        store = ClusterStore.from_settings(settings)
        busy_cluster(store)
        store.close()
        lines, words = tmp_path / "lines", tmp_path / "words"
        with lines.open("w") as output, words.open("w") as errors:
            totals = subprocess.Popen(
                command("watch", "--json", "--interval", "0.2"), env=environment(settings),
                stdout=output, stderr=errors,
            )  # fmt: skip
        wait_until("totals are told", lambda: "\n" in lines.read_text(), within_s=20)
        with terminal(command("watch"), environment(settings), columns=100) as seen:
            seen.shows("the picture", lambda text: "agents busy" in text)
            server.kill()
            away = seen.shows("that it is away", lambda text: "away" in text)
            older = seen.shows("how long", lambda text: "and this is 4 s old" in text)
            colours = (seen.style("the store").fg, seen.style("ERROR").fg)
            pale = b"\x1b[2mnode1@host" in seen.written
            server.start()
            seen.shows("the picture again", lambda text: "away" not in text)
            seen.type(b"\x03")
            assert seen.ends() == 0
        wait_until("the totals come again", lambda: "is back" in words.read_text(), within_s=20)
        before = len(lines.read_text())
        wait_until("one more line", lambda: "\n" in lines.read_text()[before:])
        totals.send_signal(signal.SIGINT)
        totals.wait(timeout=20)
        first, *_, last = lines.read_text().splitlines()

    assert "node1@host" in away
    assert "Connection refused" in older
    assert colours == ("red", "default")
    assert pale
    assert json.loads(last).keys() == json.loads(first).keys()
    assert "the store is away; trying again\nthe store is back, after" in words.read_text()


# -- watch, elsewhere ------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{"TERM": "dumb"}, {"CI": "true"}, {"TERM": ""}])
def test_what_only_looks_like_a_terminal_gets_lines_without_control_characters(
    cluster_settings: Settings, store: ClusterStore, given: Mapping[str, str]
) -> None:
    with terminal(
        command("watch", "--interval", "0.2"), {**environment(cluster_settings), **given}
    ) as seen:  # fmt: skip

        def is_told() -> bool:  # it begins with what happens after it started
            other = {BalancingStrategy.RANDOM: BalancingStrategy.ROUND_ROBIN}
            store.set_strategy(other.get(store.strategy(), BalancingStrategy.RANDOM))
            seen.read(0.2)
            return b"strategy set" in seen.written

        wait_until("it looks", is_told, within_s=20)
        busy_cluster(store)
        seen.shows("the end", lambda text: "bug finished" in text)

    assert printable(bytes(seen.written))
    assert re.search(r"^\d\d:\d\d:\d\d  bug submitted: 8 bugs, issue-000", seen.text(), re.M)


def test_without_colour_there_is_none(cluster_settings: Settings, store: ClusterStore) -> None:
    busy_cluster(store)
    given = {**environment(cluster_settings), "NO_COLOR": "1"}

    with terminal(command("watch"), given) as seen:
        seen.shows("the picture", lambda text: "agents busy" in text)
        assert re.search(rb"\x1b\[[0-9;]*m", bytes(seen.written)) is None
    for arguments in (["watch", "--once"], ["node", "list"], ["bug", "list"], ["config", "show"]):
        with terminal(command(*arguments), given) as seen:
            assert seen.ends() == 0
        assert printable(bytes(seen.written)), arguments


def test_a_thousand_bugs_at_once_are_no_thousand_lines(
    cluster_settings: Settings, store: ClusterStore
) -> None:
    watching = subprocess.Popen(
        command("watch"), env=environment(cluster_settings), stdout=subprocess.PIPE, text=True
    )
    time.sleep(2)  # it begins with what happens after it started
    store.submit([Bug(id=f"b-{n}") for n in range(1000)])
    time.sleep(2)  # two looks
    watching.send_signal(signal.SIGINT)
    output, _ = watching.communicate(timeout=20)

    assert output.count("\n") <= 3
    assert re.search(r"bug submitted: \d+ bugs, b-0 to b-\d+", output)
    assert watching.returncode == 130


@pytest.mark.parametrize("arguments", [["watch"], ["watch", "--json"], ["bug", "logs", "-f", "a"]])
def test_a_reader_that_has_gone_ends_what_would_go_on_for_ever(
    cluster_settings: Settings, store: ClusterStore, arguments: list[str]
) -> None:
    life, _ = build.node(store, "n@h")
    (run,) = build.running(store, life, Bug(id="a"))
    store.report(*astuple(run), log="one line\n")
    said = subprocess.Popen(
        command(*arguments), env=environment(cluster_settings), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert said.stdout is not None
    if arguments != ["watch"]:
        said.stdout.readline()

    said.stdout.close()

    assert said.wait(timeout=20) == 141
    assert said.stderr is not None
    with said.stderr:
        assert "Traceback" not in said.stderr.read()


def test_what_an_encoding_does_not_know_is_replaced(
    cluster_settings: Settings, store: ClusterStore
) -> None:
    busy_cluster(store)

    said = subprocess.run(
        command("watch", "--once"), capture_output=True, timeout=60,
        env={**environment(cluster_settings), "PYTHONIOENCODING": "latin-1"},
    )  # fmt: skip

    assert said.returncode == 0, said.stderr
    assert b"3/3  ###" in said.stdout
    assert b"????" in said.stdout


# -- run -------------------------------------------------------------------------------------


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as made:
        yield made


def bug_of_many_words(bug_id: str, **more: Any) -> dict[str, Any]:
    steps = [
        {"then": HOSTILE, "print": HOSTILE}, {"sleep_s": 1.5}, {"phase": "VERIFY", "sleep_s": 0.5},
    ]  # fmt: skip
    outcome = {"outcome": "NOT_FIXED", "reason": HOSTILE * 5}
    return {"id": bug_id, "phase": "TRIAGE", "steps": steps, "outcome": outcome} | more


def ran(seen: Terminal) -> str:
    """What the terminal shows at the end, once it is that."""
    assert seen.ends(60) == 4
    return seen.text()


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "rows"), [(40, 24), *SIZES[1:]])
def test_a_run_fits_its_terminal_and_leaves_it_as_it_was(at: Desk, columns: int, rows: int) -> None:
    long = "a-bug-with-a-name-that-is-rather-long"
    manifest = at.bugs(*(bug_of_many_words(f"{long}-{n}") for n in range(4)))

    with terminal(
        at.command("run", manifest), at.variables(), columns=columns, rows=rows, folder=at.folder
    ) as seen:
        before = seen.attributes()
        live = seen.shows("bugs that run", lambda text: re.search(r"^BUG .*SILENT", text, re.M))
        last = live.splitlines()[-1]
        text = ran(seen)
        attributes, has_cursor = seen.attributes(), seen.has_cursor

    assert re.match(r"\d:\d\d, \d of 4 done", last)
    assert (attributes, has_cursor) == (before, True)
    # Nothing of what was drawn is left among what was said.
    assert "SILENT" not in text
    assert "done, " not in text
    assert "4 not fixed" in text.replace("\n", " ")
    ended = [line for line in text.splitlines() if re.match(r"a-bug\S+ +NOT_FIXED +\d", line)]
    assert len(ended) >= 4
    assert all(cell_len(line) <= columns for line in ended)
    assert printable(without_codes(bytes(seen.written)).encode())


@pytest.mark.slow
def test_a_run_goes_on_when_its_terminal_changes_its_size(at: Desk) -> None:
    manifest = at.bugs(*(bug_of_many_words(f"bug-{n}", steps=[{"sleep_s": 3}]) for n in range(3)))

    with terminal(
        at.command("run", manifest), at.variables(), columns=120, folder=at.folder
    ) as seen:
        seen.shows("the wide table", lambda text: re.search(r"^BUG .*NODE", text, re.M))
        seen.resize(40, 12)
        narrow = seen.shows("the narrow one", lambda text: "SILENT\n" in text, within_s=3)
        text = ran(seen)

    assert len([line for line in narrow.splitlines() if line.startswith("bug-")]) == 3
    assert "SILENT" not in text


@pytest.mark.slow
def test_lines_of_json_do_not_mix_with_what_is_drawn(at: Desk) -> None:
    manifest = at.bugs(bug_of_many_words("a"), bug_of_many_words("b"))

    with terminal(
        at.command("run", manifest, "--json"), at.variables(), columns=200, folder=at.folder
    ) as seen:
        assert seen.ends(60) == 4
        whole = seen.text().replace("\n", "")

    assert {line["id"] for line in at.results()} == {"a", "b"}
    assert whole.count('{"id": "') == 2
    assert "\\u009b31m" in whole


@pytest.mark.parametrize(
    "given", [{"CI": "true"}, pytest.param({"TERM": "dumb"}, marks=pytest.mark.slow)]
)
def test_a_run_in_ci_says_what_happened_in_lines_that_are_complete(
    at: Desk, given: dict[str, str]
) -> None:
    manifest = at.bugs(*(bug_of_many_words(f"bug-{n}") for n in range(3)))

    with terminal(
        at.command("run", manifest), at.variables(**given), columns=200, folder=at.folder
    ) as seen:
        ran(seen)

    written = bytes(seen.written).decode()
    assert printable(bytes(seen.written))
    assert (
        len(re.findall(r"^bug-\d: NOT_FIXED after \d\.\d s on node1@\S+: 修正", written, re.M)) == 3
    )
    assert written.count("\n") <= 12


# -- bug logs --------------------------------------------------------------------------------


@pytest.fixture
def live(redis_url: str, tmp_path: Path) -> Iterator[LiveCluster]:
    made = LiveCluster(tmp_path, redis_url=redis_url)
    yield made
    made.close()


@pytest.mark.slow
def test_a_followed_log_goes_from_a_killed_node_to_the_next_and_misses_nothing_older_than_2_s(
    live: LiveCluster,
) -> None:
    notes = live.folder / "notes"
    steps = [
        {"print": f"step {n} \x1b[2J\x1b[31mred\x1b[0m", "note": str(notes), "sleep_s": 0.05}
        for n in range(150)
    ]
    with live.node("heir@here"):
        live.cli("node", "drain", "heir@here")
        bug_id = live.submit(*steps)
        given = environment(live.settings)
        with terminal(command("bug", "logs", "-f", bug_id), given, columns=100, rows=500) as seen:
            seen.shows("that it waits", lambda text: "waits: it is PENDING" in text)
            with live.node("doomed@here") as doomed:
                seen.shows("its log", lambda text: "step 50 " in text, within_s=30)
                seen_at: list[tuple[float, int]] = []
                while not seen_at or time.monotonic() - seen_at[0][0] < 3:
                    seen_at.append((time.monotonic(), notes.read_text().count("\n")))
                    time.sleep(0.02)
                doomed.kill()
                died_at = time.monotonic()
            live.cli("node", "resume", "heir@here")
            assert seen.ends(60) == 0
            text = seen.text()
        again = live.cli("bug", "logs", bug_id, "--attempt", "1")
        ended = live.cli("bug", "logs", "-f", bug_id)

    first, second = (
        text.index(f"run {run} of bug {bug_id}, on {node}@here:")
        for run, node in ((1, "doomed"), (2, "heir"))
    )
    printed = [
        int(number) for number in re.findall(r"^step (\d+) �\[2Jred$", text[first:second], re.M)
    ]
    due = max(count for at, count in seen_at if at < died_at - 2)
    assert printed == list(range(len(printed)))
    assert len(printed) >= due
    assert text.endswith(f"bug {bug_id}: FIXED")
    assert text.count("step 149 ") == 1
    # Elsewhere it is as it was printed, and of an ended bug it is there at once.
    assert again.count("\x1b[2J\x1b[31mred\x1b[0m\n") == len(printed)
    assert ended.count("step 149 ") == 1


def test_each_piece_as_json_names_its_run_and_node(live: LiveCluster) -> None:
    with live.node("node@here"):
        bug_id = live.submit({"print": "one"}, {"crash": True}, {"print": "never"})
        live.wait(bug_id)
        told = [
            json.loads(line)
            for line in live.cli(
                "bug", "logs", "-f", bug_id, "--attempt", "1", "--json"
            ).splitlines()
        ]

    assert told == [{"id": bug_id, "attempt": 1, "node": "node@here", "text": "one\n"}]
