import pytest
from max_slice import best_slice


@pytest.mark.parametrize(
    ("values", "total"),
    [([5], 5), ([-3], -3), ([1, 2, 3], 6), ([-2, 1, -3, 4, -1, 2, 1, -5, 4], 6), ([-4, -1, -7], -1), ([-5, 8, 2], 10), ([3, -1, 3], 5), ([0, -1], 0)],
)
def test_best(values, total):
    assert best_slice(values) == total


def test_nothing():
    with pytest.raises(ValueError):
        best_slice([])
