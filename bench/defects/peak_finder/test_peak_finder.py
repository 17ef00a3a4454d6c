import pytest
from peak_finder import find_peaks, highest_peak


@pytest.mark.parametrize(
    ("values", "peaks"),
    [([], []), ([1], [0]), ([1, 2, 1], [1]), ([3, 1, 3], [0, 2]), ([2, 2], []), ([1, 2, 3], [2])],
)
def test_peaks(values, peaks):
    assert find_peaks(values) == peaks


def test_first_of_equal_peaks():
    assert highest_peak([1, 5, 2, 5, 1]) == 1


def test_later_higher_peak():
    assert highest_peak([1, 3, 2, 5, 1]) == 3


def test_none():
    assert highest_peak([4, 4, 4]) is None
