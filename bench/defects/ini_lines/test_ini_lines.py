import pytest
from ini_lines import parse_settings


def test_simple():
    assert parse_settings("a = 1\nb=2") == {"a": "1", "b": "2"}


def test_comments():
    assert parse_settings("# top\na = 1 # why\n\n") == {"a": "1"}


def test_value_with_equal_sign():
    assert parse_settings("query = x=1") == {"query": "x=1"}
    assert parse_settings("a=b=c=d") == {"a": "b=c=d"}


def test_empty_value():
    assert parse_settings("a =") == {"a": ""}


def test_line_number():
    with pytest.raises(ValueError, match="line 3"):
        parse_settings("a=1\n\noops")
