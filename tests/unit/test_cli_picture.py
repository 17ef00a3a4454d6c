"""The picture that `watch` draws: whatever the terminal's size, the same truth in less."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import pytest
from rich.cells import cell_len

from fixwurx_celery.cli.nodes_part import bar, natural
from fixwurx_celery.cli.part import shared
from fixwurx_celery.cli.picture import Decided, Look, picture
from fixwurx_celery.domain.nodes import WorkerState
from fixwurx_celery.store import BugRecord, Event, Running
from fixwurx_celery.store.records import bug_record
from tests.support.views import NOW_MS, node, snapshot

HOSTILE = "no \x1b[2J\x9b\r\n luck 修正済み 👩\u200d👧 \u202e"


def running(bug: str, **given: Any) -> Running:
    facts = {"node": "node1@host", "phase": "PATCH", "run": 1}
    ms = {"ran_ms": 65_000, "clock_ms": 61_000, "silent_ms": 5000}
    return Running(bug=bug, **{**facts, **ms, **given})


def ended(bug: str, outcome: Any = None, took_ms: int = 9000) -> BugRecord:
    import json

    return bug_record(
        bug,
        {
            "state": "DONE",
            "class": "3|",
            "node": "node1@host",
            "outcome": json.dumps(outcome or {"outcome": "FIXED", "edit": "`<=` -> `<`"}),
            "started_ms": str(NOW_MS - 60_000 - took_ms),
            "finished_ms": str(NOW_MS - 60_000),
        },
    )


def look(*nodes: Any, waiting: dict[str, int] | None = None, **given: Any) -> Look:
    seen = snapshot(*(nodes or [node()]), waiting=waiting)
    facts: dict[str, Any] = {"running": [], "ended": [], "scaled": None, "happened": []}
    return Look(snapshot=dataclasses.replace(seen, finished=240), **{**facts, **given})


def full() -> Look:
    """A hundred nodes, one of them draining, and plenty of everything."""
    busy = {"state": WorkerState.BUSY, "free_agents": 0}
    nodes = [node(f"node{n}@host", **busy) for n in range(1, 100)]
    nodes.append(node("node100@host", state=WorkerState.STOPPING, free_agents=3))
    return look(
        *nodes,
        waiting={"3|": 12, "5|gpu": 7, "9|修正": 1},
        running=[running(f"BUG-{n}", ran_ms=1000 * n, phase=HOSTILE) for n in range(300)],
        ended=[ended(f"OLD-{n}", {"outcome": "ERROR", "reason": HOSTILE}) for n in range(30)],
        scaled=Decided(at_ms=NOW_MS - 120_000, text=f"out: {HOSTILE}"),
        happened=[Event(f"{NOW_MS}-0", "bug_given_back", "B", "n@h", "1", HOSTILE)] * 50,
    )


def test_it_shows_nodes_what_waits_runs_and_ended_and_why_it_was_scaled() -> None:
    seen = look(
        node("node1@host", state=WorkerState.BUSY, free_agents=0, bugs={"BUG-1": 9}),
        node("node2@host", free_agents=6, bugs={"BUG-2": 3}, health=0.75),
        waiting={"3|gpu": 2},
        running=[running("BUG-1"), running("BUG-2", phase="TRIAGE", silent_ms=125_000)],
        ended=[ended("BUG-0")],
        scaled=Decided(at_ms=NOW_MS - 120_000, text="out: 9 of 9 agents at work"),
        happened=[
            Event(f"{NOW_MS}-0", "node_lost", "", "node3@host", "", "its connection dropped")
        ],
    )

    lines = picture(seen, None, None)

    assert [re.sub(r"\d\d:\d\d:\d\d", "00:00:00", line) for line in lines] == [
        "00:00:00  2 nodes  12 of 18 agents busy  2 bugs on nodes  2 waiting  240 ended  RANDOM",
        "",
        "NODE        STATE     AGENTS             HEALTH    SEEN  CAPABILITIES",
        "node1@host  BUSY         9/9  ▮▮▮▮▮▮▮▮▮    1.00     now  python",
        "node2@host  READY        3/9  ▮▮▮▯▯▯▯▯▯    0.75     now  python",
        "",
        "2 bugs waiting for 3 agents and gpu, the first (b-3|gpu) for 5 s",
        "",
        "BUG    PHASE     CLOCK           FOR  SILENT  NODE",
        "BUG-1  PATCH     run 1:01       1:05    0:05  node1@host",
        "BUG-2  TRIAGE    set-up 1:01    1:05    2:05  node1@host",
        "",
        "ENDED  OUTCOME      TOOK     AGO  NODE        WHAT",
        "BUG-0  FIXED         9 s    60 s  node1@host  `<=` -> `<`",
        "",
        "scaled 2 min ago, out: 9 of 9 agents at work",
        "",
        "00:00:00  node lost on node3@host: its connection dropped",
    ]


@pytest.mark.parametrize("rows", [1, 2, 5, 10, 24, 50])
@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_it_fits_and_nothing_in_it_moves_the_cursor(columns: int, rows: int) -> None:
    lines = picture(full(), columns, rows)

    assert len(lines) <= rows
    assert max(map(cell_len, lines)) <= columns
    assert all(line.isprintable() for line in lines)
    assert "991 of 900" not in lines[0]
    assert "897 of 900 agents busy" in lines[0]


def counted(lines: Sequence[str], pattern: str) -> int:
    """The number that a line names."""
    (found,) = [match for line in lines if (match := re.search(pattern, line))]
    return int(found[1])


@pytest.mark.parametrize("rows", [12, 24, 40])
def test_what_does_not_fit_is_summed_up_and_counted(rows: int) -> None:
    lines = picture(full(), 120, rows)

    nodes = sum(bool(re.match(r"node\d+@host ", line)) for line in lines)
    bugs = sum(line.startswith("BUG-") for line in lines)
    assert 1 <= nodes < 100
    assert nodes + counted(lines, r"^and (\d+) more nodes, ") == 100
    assert counted(lines, r"^and \d+ more nodes, (\d+) BUSY") == 100 - nodes
    more = counted(lines, r"^(?:and )?(\d+) (?:more )?running, ")
    assert bugs + more == 300
    assert f"for up to {(300 - bugs - 1) // 60}:" in next(line for line in lines if "up to" in line)


def test_trouble_is_seen_first_then_nodes_as_people_count_them() -> None:
    lines = picture(
        look(node("n10@h"), node("n9@h"), node("sick@h", health=0.5), node("n1@h")), 80, 24
    )

    names = [line.split()[0] for line in lines if "@h" in line]
    assert names == ["sick@h", "n1@h", "n9@h", "n10@h"]
    assert sorted(["node10", "node9", "a", "node9b"], key=natural) == [
        "a", "node9", "node9b", "node10",
    ]  # fmt: skip


def test_without_nodes_and_bugs_there_is_little_to_see() -> None:
    seen = Look(
        snapshot=snapshot(waiting={"3|": 1}), running=[], ended=[], scaled=None, happened=[]
    )

    assert picture(seen, 80, 24)[2:] == [
        "no node is in service",
        "",
        "1 bug waiting for 3 agents, the first (b-3|) for 5 s",
    ]


@pytest.mark.parametrize(
    ("busy", "total", "drawn"),
    [
        (0, 3, "▯▯▯"), (2, 3, "▮▮▯"), (12, 12, "▮" * 12), (0, 24, "▯" * 12),
        (1, 1000, "▮" + "▯" * 11), (999, 1000, "▮" * 11 + "▯"), (1000, 1000, "▮" * 12),
    ],
)  # fmt: skip
def test_a_bar_shows_what_is_taken_and_what_is_free(busy: int, total: int, drawn: str) -> None:
    assert bar(busy, total) == drawn


def test_a_low_terminal_is_shared_fairly_among_the_parts() -> None:
    assert shared([2, 50, 50], 12) == [2, 5, 5]
    assert shared([2, 3], 100) == [2, 3]
