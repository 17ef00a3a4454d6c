"""Mistyped names, and logs that were trimmed while they were followed."""

import pytest

from fixwurx_celery.cli.logs import unseen
from fixwurx_celery.cli.names import did_you_mean, known_node, nearest
from fixwurx_celery.errors import FixwurxError
from tests.support.views import node, snapshot


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("least-conections", "LEAST_CONNECTIONS"),
        ("round_robin", "ROUND_ROBIN"),
        ("zzz", None),
    ],
)
def test_the_nearest_name_is_found_whatever_its_case(name: str, expected: str | None) -> None:
    assert nearest(name, ["ROUND_ROBIN", "LEAST_CONNECTIONS", "RANDOM"]) == expected


def test_no_question_is_asked_about_what_resembles_nothing() -> None:
    assert did_you_mean("zzz", ["alpha"]) == ""
    assert did_you_mean("alpa", ["alpha"]) == "; did you mean alpha?"


def test_a_node_may_be_named_without_its_host_when_that_is_clear() -> None:
    seen = snapshot(node("node1@a"), node("node2@a"), node("node2@b"))

    assert known_node(seen, "node1").worker_id == "node1@a"
    assert known_node(seen, "node2@b").worker_id == "node2@b"
    with pytest.raises(FixwurxError, match="node2 is not one node: say node2@a or node2@b"):
        known_node(seen, "node2")
    with pytest.raises(FixwurxError, match="did you mean node1@a"):
        known_node(seen, "nod1@a")


@pytest.mark.parametrize(
    ("seen", "text", "piece"),
    [
        ("", "abc", "abc"),
        ("abc", "abc", ""),
        ("abc", "abcdef", "def"),
        ("abcdef", "cdefgh", "gh"),  # the store dropped the beginning
        ("abc", "xyz", "xyz"),  # more was dropped than had been seen
    ],
)
def test_a_followed_log_goes_on_where_it_was(seen: str, text: str, piece: str) -> None:
    if seen == "abcdef":
        seen, text = "-" * 5000 + "tail" * 500, "-" * 10 + "tail" * 500 + "gh"

    assert unseen(seen, text) == piece
