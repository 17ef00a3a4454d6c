"""How what happened is said: one by one, and many at once."""

import pytest

from fixwurx_celery.cli.news import digest, is_news, told
from fixwurx_celery.store import Event


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (("bug_submitted", "BUG-1", "", "", "3|gpu,x"), "bug submitted BUG-1: 3 agents and gpu,x"),
        (("bug_assigned", "BUG-1", "n@h", "7", "3|"), "bug assigned BUG-1 on n@h"),
        (("bug_started", "BUG-1", "n@h", "7", "2"), "bug started BUG-1 on n@h: run 2"),
        (("bug_given_back", "BUG-1", "n@h", "7", "drains"), "bug given back BUG-1 on n@h: drains"),
        (("node_registered", "", "n@h", "", "5f 9|x"), "node registered on n@h: 9 agents and x"),
        (("node_kept", "BUG-1", "n@h", "", "9|"), "node kept BUG-1 on n@h: 9 agents"),
    ],
)  # fmt: skip
def test_an_event_is_said_in_words(event: tuple[str, ...], said: str) -> None:
    assert told(Event("1800000000000-0", *event)) == said


def test_that_the_clock_ticked_is_no_news() -> None:
    assert not is_news(Event("1-0", "tick", "", "host:7", "1800000000000", "sweep"))
    assert is_news(Event("1-0", "bug_started", "BUG-1", "n@h", "7", "1"))


def events(*told: tuple[str, str, str]) -> list[Event]:
    return [
        Event(f"{1_800_000_000_000 + number}-0", action, bug, node, "7", "3|")
        for number, (action, bug, node) in enumerate(told)
    ]


def without_times(lines: list[str]) -> list[str]:
    return [line.partition("  ")[2] for line in lines]


def test_few_things_are_told_one_by_one_in_their_order() -> None:
    happened = events(
        ("bug_submitted", "a", ""), ("bug_assigned", "a", "n@h"), ("bug_submitted", "b", ""),
        ("tick", "", ""),
    )  # fmt: skip

    assert without_times(digest(happened)) == [
        "bug submitted a: 3 agents",
        "bug assigned a on n@h",
        "bug submitted b: 3 agents",
    ]


def test_a_thousand_things_of_one_kind_are_one_line() -> None:
    happened = events(*[("bug_submitted", f"b{n}", "") for n in range(1000)])
    happened += events(*[("bug_phase", "b7", "n@h")] * 5, *[("node_lost", "", "n@h")] * 4)

    assert sorted(without_times(digest(happened))) == [
        "bug phase 5 times: 1 bug, b7 to b7",
        "bug submitted: 1000 bugs, b0 to b999",
        "node lost 4 times: 1 node, n@h to n@h",
    ]


def test_what_others_wrote_cannot_move_the_cursor() -> None:
    hostile = Event("1-0", "bug_given_back", "b", "n@h", "7", "no\n\x1b[2J\x9b luck")

    assert told(hostile) == "bug given back b on n@h: no �[2J� luck"
