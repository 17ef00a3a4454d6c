# Modelled on pandas' Interval.overlaps: two intervals that share only an end overlap only when
# both include it.
import pytest

from intervals import Closed, Interval, merge


def test_contains():
    half_open = Interval(0, 1)
    assert 1 in half_open
    assert 0 not in half_open
    assert 0.5 in half_open
    assert 0 in Interval(0, 1, Closed.BOTH)


def test_ends_are_checked():
    with pytest.raises(ValueError, match="lies right of"):
        Interval(2, 1)


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        (Closed.BOTH, Closed.BOTH, True),
        (Closed.LEFT, Closed.RIGHT, False),
        (Closed.RIGHT, Closed.LEFT, True),
        (Closed.RIGHT, Closed.RIGHT, False),
        (Closed.NEITHER, Closed.BOTH, False),
        (Closed.BOTH, Closed.NEITHER, False),
    ],
)
def test_shared_end(first, second, shared):
    left, right = Interval(0, 1, first), Interval(1, 2, second)
    assert left.overlaps(right) is shared
    assert right.overlaps(left) is shared


def test_far_apart():
    assert not Interval(0, 1).overlaps(Interval(2, 3))
    assert not Interval(2, 3).overlaps(Interval(0, 1))


def test_inside():
    assert Interval(0, 10).overlaps(Interval(4, 5))


def test_merge():
    assert merge([Interval(3, 5), Interval(0, 2), Interval(1, 3)]) == [(0, 3), (3, 5)]
    assert merge([Interval(0, 1, Closed.BOTH), Interval(1, 2, Closed.BOTH)]) == [(0, 2)]
    assert merge([]) == []
