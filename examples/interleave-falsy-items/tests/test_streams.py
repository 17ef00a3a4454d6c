# Modelled on more-itertools' interleave_longest: items that are false disappeared with the filling.
import pytest

from streams import interleave_longest, split_when, take, windowed


def test_same_length():
    assert list(interleave_longest([1, 3], [2, 4])) == [1, 2, 3, 4]


def test_longer_one_goes_on():
    assert list(interleave_longest("ab", "xyz")) == ["a", "x", "b", "y", "z"]


def test_false_items_stay():
    assert list(interleave_longest([0, 1], ["", None, "c"])) == [0, "", 1, None, "c"]


def test_empty_ones():
    assert list(interleave_longest()) == []
    assert list(interleave_longest([], [False])) == [False]


def test_windows():
    assert list(windowed([1, 2, 3], 2)) == [(1, 2), (2, 3)]
    assert list(windowed([1], 2)) == []
    with pytest.raises(ValueError, match="size"):
        list(windowed([1], 0))


def test_split_when():
    runs = split_when([1, 2, 3, 7, 8, 1], lambda a, b: b != a + 1)
    assert list(runs) == [[1, 2, 3], [7, 8], [1]]
    assert list(split_when([], lambda a, b: True)) == []


def test_take():
    assert take(2, iter(range(10))) == [0, 1]
