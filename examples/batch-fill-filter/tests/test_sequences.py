# Modelled on jinja2's batch filter and its filling of the last row.
import pytest

from filters.sequences import batch, join_words, slices


def test_even_rows():
    assert list(batch([1, 2, 3, 4], 2)) == [[1, 2], [3, 4]]


def test_short_last_row():
    assert list(batch("abcde", 3)) == [["a", "b", "c"], ["d", "e"]]


def test_filled_last_row():
    assert list(batch("abcd", 3, "-")) == [["a", "b", "c"], ["d", "-", "-"]]


def test_full_row_is_not_filled():
    assert list(batch([1, 2], 2, 0)) == [[1, 2]]


def test_nothing():
    assert list(batch([], 3, "x")) == []


def test_columns():
    assert list(slices(range(7), 3)) == [[0, 1, 2], [3, 4], [5, 6]]
    assert list(slices(range(7), 3, "x")) == [[0, 1, 2], [3, 4, "x"], [5, 6, "x"]]
    assert list(slices(range(6), 3, "x")) == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("words", "text"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_join_words(words, text):
    assert join_words(words) == text
