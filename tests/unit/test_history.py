"""The checker over the event log: silent about what may be, and it sees every kind of damage."""

import re
from dataclasses import replace

import pytest

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.store import Event
from fixwurx_celery.store.history import (
    BUG_MOVES,
    NODE_MOVES,
    OVER_KEPT,
    UNJUDGED,
    History,
    check,
    tick_gaps_ms,
)
from tests.support.surroundings import ROOT

LUA = ROOT / "fixwurx_celery" / "store" / "lua"

CLEAN = """
node_registered    -  n1  -   l1 9|gpu
node_registered    -  n2  -   l2 3|
strategy_set       -  -   -   RANDOM
tick               -  h1  50  sweep
bug_submitted      a  -   -   3|
bug_assigned       a  n1  1   3|
bug_submitted      b  -   -   6|gpu
bug_assigned       b  n1  2   6|gpu
bug_submitted      c  -   -   3|
bug_assigned       c  n2  3   3|
bug_submitted      d  -   -   3|
bug_rung_again     a  n1  1   -
bug_started        a  n1  1   1
bug_phase          a  n1  1   PATCH
bug_started        b  n1  2   1
bug_finished       a  n1  1   DONE
bug_assigned       d  n1  4   3|
node_draining      -  n1  -   -
bug_given_back     d  n1  4   node drains
tick               -  h2  60  sweep
bug_cancelling     b  n1  2   -
bug_cancelled      b  n1  2   its pool process died
node_resumed       -  n1  -   -
bug_assigned       d  n1  5   3|
bug_reserved       r  n1  6   6|
bug_started        d  n1  5   1
bug_released       r  n1  6   its lease was not renewed
bug_given_back     c  n2  3   node was silent
node_lost          -  n2  -   node was silent
bug_assigned       c  n1  7   3|
bug_started        c  n1  7   1
node_ejected       -  n1  -   0.50
bug_escalated      c  n1  7   its lease was not renewed
node_readmitted    -  n1  -   0.60
bug_retried        c  -   7   3|
bug_cancelled      c  -   7   cancelled before it started
bug_submitted      e  -   -   9|
node_kept          e  n1  -   9|
bug_expired        a  -   -   -
bug_submitted      a  -   -   3|
bug_released       a  -   -   -
bug_submitted      a  -   -   3|
node_registered    -  n2  -   l3 3|
bug_assigned       a  n2  8   3|
bug_given_back     d  n1  5   node ended
node_lost          -  n1  -   node ended
node_forgotten     -  n1  -   -
node_registered    -  n1  -   l4 9|
bug_assigned       d  n1  9   3|
bug_started        d  n1  9   2
bug_finished       d  n1  9   ESCALATED
"""


def log(text: str) -> list[Event]:
    """An event a line: action, bug, node, epoch, detail; a hyphen is nothing. Each 100 ms."""
    events = []
    for number, line in enumerate(text.strip().splitlines(), 10):
        words = [word.replace("-", "") for word in line.split(maxsplit=4)]
        events.append(Event(f"{number * 100}-0", *words))
    return events


def test_a_clean_log_passes() -> None:
    assert check(log(CLEAN)) == []


@pytest.mark.parametrize("cut", range(1, len(log(CLEAN))))
def test_a_log_whose_beginning_is_cut_off_raises_no_false_alarm(cut: int) -> None:
    assert check(log(CLEAN)[cut:], is_whole=False) == []


STILL = {"bug_rung_again", "bug_phase", "bug_cancelling", "bug_expired", "tick", *UNJUDGED}
CHANGES = [i for i, event in enumerate(log(CLEAN)) if event.action not in STILL]


@pytest.mark.parametrize("at", CHANGES)
def test_a_change_of_state_that_is_told_twice_is_seen(at: int) -> None:
    events = log(CLEAN)
    events.insert(at, replace(events[at], id=f"{events[at].id[:-2]}-1"))

    wrong = check(events)

    assert events[at].action in wrong[0]
    assert events[at].id.replace("-1", "-0") in wrong[0]


NODES = "node_registered - n1 - l1 9|\nnode_registered - n2 - l2 9|\n"
WAITS = NODES + "bug_submitted a - - 3|\n"
DRAINS = WAITS + "node_draining - n1 - -\n"
HELD = WAITS + "bug_assigned a n1 1 3|\n"
RUNS = HELD + "bug_started a n1 1 1\n"
OVER = RUNS + "bug_finished a n1 1 DONE\n"


@pytest.mark.parametrize(
    ("before", "event", "complaint"),
    [
        # Every bug ends once for each submission.
        (OVER, "bug_finished a n1 1 DONE", "came after its end at event 1500-0"),
        (OVER, "bug_escalated a n1 1 x", "came after its end"),
        (OVER, "bug_cancelled a - 1 x", "came after its end"),
        (OVER, "bug_given_back a n1 1 x", "came after its end"),
        (OVER, "bug_submitted a - - 3|", "came while its end at event 1500-0 was still kept"),
        (WAITS + "bug_released a - - -\n", "bug_finished a n1 1 DONE", "came after its end"),
        (WAITS + "bug_released a - - -\n", "bug_retried a - - 3|", "came after its end"),
        (WAITS, "bug_submitted a - - 3|", "came while it was PENDING since event 1200-0"),
        (RUNS, "bug_retried a - 1 3|", "came while it was RUNNING on node n1 since event 1400-0"),
        (RUNS, "bug_expired a - - -", "came while it was RUNNING"),
        (NODES, "bug_assigned x n1 1 3|", "is of a bug that no event before it submitted"),
        (NODES, "bug_finished x n1 1 DONE", "is of a bug that no event before it submitted"),
        # No two live runners.
        (RUNS, "bug_started a n2 2 2", "came while it was RUNNING on node n1 since event 1400-0"),
        (RUNS, "bug_assigned a n2 2 3|", "came while it was RUNNING on node n1"),
        (HELD, "bug_assigned a n2 2 3|", "came while it was ASSIGNED on node n1 since event 1300"),
        (RUNS, "bug_reserved a n2 2 3|", "came while it was RUNNING on node n1"),
        (HELD, "bug_started a n2 1 1", "came from node n2 with epoch 1, and node n1 held it"),
        (WAITS, "bug_started a n1 1 1", "came while it was PENDING"),
        # Agents within each node's total.
        (
            HELD + "bug_submitted b - - 7|\n", "bug_assigned b n1 2 7|",
            "node n1: bug_assigned at event 1500-0 of bug b made it hold 10 agents of 9, for the "
            "bugs a, b",
        ),
        (HELD, "bug_reserved r n1 2 7|gpu", "made it hold 10 agents of 9"),
        # Outcomes carry the newest epoch, from the node that started the bug.
        (RUNS, "bug_finished a n2 1 DONE", "came from node n2 with epoch 1, and node n1 held it"),
        (RUNS, "bug_finished a n1 7 DONE", "with epoch 7, and node n1 held it with epoch 1"),
        (HELD, "bug_finished a n1 1 DONE", "came while it was ASSIGNED"),
        (RUNS, "bug_phase a n2 1 PATCH", "came from node n2"),
        (RUNS, "bug_given_back a n1 2 x", "with epoch 2"),
        # Epochs only rise.
        (
            OVER + "bug_retried a - 1 3|\n", "bug_assigned a n1 1 3|",
            "bug a: bug_assigned at event 1700-0 has epoch 1, not above epoch 1 of event 1300-0",
        ),
        (OVER + "bug_submitted b - - 3|\n", "bug_assigned b n1 1 3|", "not above epoch 1"),
        # Nodes.
        (HELD, "node_lost - n1 - silent", "came while it held bug a (event 1300-0)"),
        (HELD, "node_registered - n1 - l2 9|", "came while it was READY since event 1000-0"),
        (NODES, "node_lost - n3 - silent", "came while it was not known"),
        (NODES, "node_resumed - n1 - -", "came while it was READY"),
        (DRAINS, "bug_assigned a n1 1 3|", "n1, which was STOPPING since event 1300-0"),
        (DRAINS, "node_draining - n1 - -", "came while it was STOPPING since event 1300-0"),
        (WAITS + "node_lost - n1 - x\n", "bug_assigned a n1 1 3|", "was OFFLINE since event 1300"),
        (NODES + "node_lost - n1 - x\n", "bug_reserved r n1 1 3|", "which was OFFLINE"),
        (WAITS, "bug_assigned a n3 1 3|", "n3, which no event before it registered"),
        # Ticks.
        (
            "tick - h 7 sweep\n", "tick - g 7 sweep",
            "tick sweep: tick at event 1100-0 has term 7, not above term 7 of event 1000-0",
        ),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_seen(before: str, event: str, complaint: str) -> None:
    history = History()
    for good in log(before):
        assert history.feed(good) == []

    wrong = history.feed(log(before + event)[-1])

    assert any(complaint in line for line in wrong), wrong
    assert all(event.split()[0] in line for line in wrong)


def test_two_lives_of_a_node_do_not_hold_the_same_bug() -> None:
    wrong = check(log(HELD + "node_registered - n1 - l9 9|"))

    assert [line for line in wrong if "came while it held bug a (event 1300-0)" in line]


@pytest.mark.parametrize(
    "wrong",
    [
        "bug_finished a n1 1 DONE\nbug_finished a n1 1 DONE",
        "bug_assigned a n1 1 3|\nbug_started a n1 1 1\nbug_started a n2 2 1",
        "bug_started a n1 1 1\nnode_lost - n1 - x",
        "bug_assigned a n1 2 3|\nbug_assigned b n1 1 3|",
        "node_registered - n1 - l 2|\nbug_assigned a n1 1 3|",
        "node_registered - n1 - l 9|\nbug_assigned a n1 1 6|\nbug_assigned b n1 2 6|",
        "node_draining - n1 - -\nbug_assigned a n1 1 3|",
        "node_lost - n1 - x\nbug_started a n1 1 1",
        "bug_assigned a n1 1 3|\nnode_registered - n1 - l 9|",
        "bug_released a n1 1 -\nbug_started a n1 1 1",
    ],
)
def test_what_a_log_without_its_beginning_shows_by_itself_is_seen(wrong: str) -> None:
    assert len(check(log(wrong), is_whole=False)) == 1


def test_one_wrong_event_is_not_blamed_on_those_after_it() -> None:
    after = "bug_started a n2 2 2\nbug_phase a n2 2 PATCH\nbug_finished a n2 2 DONE\n"

    wrong = check(log(RUNS + "bug_assigned a n2 2 3|\n" + after))

    assert len(wrong) == 1
    assert "bug a: bug_assigned at event 1500-0" in wrong[0]


def test_the_bugs_that_have_not_ended_are_listed() -> None:
    history = History()
    for event in log(CLEAN):
        history.feed(event)

    assert history.unfinished == ["a", "e"]
    assert {name: bug.state for name, bug in history.bugs.items()} == {
        "a": BugState.ASSIGNED, "e": BugState.PENDING,
    }  # fmt: skip
    assert history.held == {"n1": {}, "n2": {"a": 3}}


def test_no_more_is_remembered_than_what_lives() -> None:
    history = History()
    for event in log(NODES):
        history.feed(event)
    for number in range(1, OVER_KEPT + 1000):
        bug, epoch = f"b{number}", str(number)
        for action, node, at_epoch, detail in (
            ("bug_submitted", "", "", "3|"),
            ("bug_assigned", "n1", epoch, "3|"),
            ("bug_started", "n1", epoch, "1"),
            ("bug_finished", "n1", epoch, "DONE"),
        ):
            assert history.feed(Event("1-0", action, bug, node, at_epoch, detail)) == []

    assert history.unfinished == []
    assert history.held == {"n1": {}, "n2": {}}
    assert len(history._over) == OVER_KEPT
    again = history.feed(Event("2-0", "bug_finished", "b1", "n1", "1", "DONE"))
    assert again == [
        "bug b1: bug_finished at event 2-0 is of a bug that no event before it submitted"
    ]


def test_ticks_that_come_too_soon_are_seen_and_their_gaps_measured() -> None:
    events = [
        Event("1000-0", "tick", "", "h1", "1", "sweep"),
        Event("1500-0", "tick", "", "h1", "2", "scale"),
        Event("11000-0", "tick", "", "h2", "3", "sweep"),
        Event("20400-1", "tick", "", "h1", "4", "sweep"),
    ]

    assert tick_gaps_ms(events, "sweep") == [10_000, 9400]
    assert check(events, periods_ms={"sweep": 9000}) == []
    assert check(events, periods_ms={"sweep": 9500}) == [
        "tick sweep: tick at event 20400-1 came 9400 ms after event 11000-0, and its period is "
        "9500 ms"
    ]


# -- the page that describes them ----------------------------------------------------------


def emitted() -> dict[str, list[list[str]]]:
    """Action → for each place in the sources that writes it, its bug, node, epoch and detail."""
    found: dict[str, list[list[str]]] = {}
    for path in sorted(LUA.rglob("*.lua")):
        for call in re.findall(r"(?<!function )\bemit\((.*)\)", path.read_text("utf-8")):
            parts = re.split(r",\s*(?![^()]*\))", call.removesuffix(") end").rstrip(" "))
            action, *fields = [part.strip() for part in parts]
            fields += ["''"] * (4 - len(fields))
            for name in re.findall(r"'(\w+)'", action.partition(" and ")[2] or action):
                found.setdefault(name, []).append(fields)
    return found


def described() -> dict[str, list[str]]:
    """Action → its cells in the table of docs/events.md."""
    page = (ROOT / "docs" / "events.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", page, re.MULTILINE)
    return {
        action: [cell.strip() for cell in re.split(r"(?<!\\)\|", cells)] for action, cells in rows
    }


def test_the_page_of_events_describes_each_that_is_written_and_no_other() -> None:
    assert described().keys() == emitted().keys()


@pytest.mark.parametrize("action", sorted(emitted()))
def test_the_page_of_events_says_which_fields_each_has(action: str) -> None:
    *cells, when = described()[action]

    for cell, values in zip(cells, zip(*emitted()[action], strict=True), strict=True):
        assert (cell == "") == all(value == "''" for value in values), f"{cell!r}: {values}"
    assert when


def test_every_event_is_judged_or_known_to_change_nothing() -> None:
    assert {*BUG_MOVES, *NODE_MOVES, *UNJUDGED, "tick"} == emitted().keys()
