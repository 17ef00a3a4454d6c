import pytest
from run_length import decode, encode


@pytest.mark.parametrize(
    ("text", "code"), [("", ""), ("a", "1a"), ("aaab", "3a1b"), ("abba", "1a2b1a"), ("z" * 12, "12z"), ("x" * 105 + "y", "105x1y")]
)
def test_both_ways(text, code):
    assert encode(text) == code
    assert decode(code) == text


def test_spaces():
    assert decode(encode("  a")) == "  a"
