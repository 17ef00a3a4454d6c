import pytest
from mean_weighted import weighted_mean


def test_equal_weights():
    assert weighted_mean([1, 2, 3], [1, 1, 1]) == 2


def test_weights():
    assert weighted_mean([10, 20], [3, 1]) == 12.5


def test_small_weights():
    assert weighted_mean([4, 8], [0.25, 0.25]) == 6


def test_weights_below_zero():
    assert weighted_mean([4, 8], [-1, -1]) == 6


def test_no_weight():
    assert weighted_mean([5, 7], [0, 0]) == 0.0


def test_nothing():
    assert weighted_mean([], []) == 0.0


def test_negative():
    assert weighted_mean([2, 4], [-1, 2]) == 6


def test_lengths():
    with pytest.raises(ValueError):
        weighted_mean([1], [])
