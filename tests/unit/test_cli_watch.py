"""How `watch` says what happened."""

import pytest

from fixwurx_celery.cli.watch import is_news, told
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
    assert told(Event("1800000000000-0", *event)).partition("  ")[2] == said


def test_that_the_clock_ticked_is_no_news() -> None:
    assert not is_news(Event("1-0", "tick", "", "host:7", "1800000000000", "sweep"))
    assert is_news(Event("1-0", "bug_started", "BUG-1", "n@h", "7", "1"))
