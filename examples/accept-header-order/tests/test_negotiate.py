# Modelled on werkzeug's Accept: entries have to come out best first.
import pytest

from negotiate import MediaRange, best_match, parse_accept


def test_one_entry():
    assert parse_accept("text/html") == [MediaRange("text", "html")]


def test_order_by_quality():
    types = [r.subtype for r in parse_accept("text/plain;q=0.5, text/html, text/csv;q=0.8")]
    assert types == ["html", "csv", "plain"]


def test_specific_before_general():
    ranges = parse_accept("*/*, text/*, text/html")
    assert [(r.type, r.subtype) for r in ranges] == [("text", "html"), ("text", "*"), ("*", "*")]


def test_garbage_is_skipped():
    assert parse_accept("html, ,") == []
    assert parse_accept("text/html;q=abc")[0].quality == 0.0


@pytest.mark.parametrize(
    ("header", "offered", "best"),
    [
        ("text/html, */*;q=0.1", ["application/json", "text/html"], "text/html"),
        ("*/*", ["application/json", "text/html"], "application/json"),
        ("text/html;q=0, */*", ["text/html", "text/plain"], "text/plain"),
        ("image/png", ["text/html"], None),
    ],
)
def test_best_match(header, offered, best):
    assert best_match(header, offered) == best
