import pytest
from rising_run import longest_rise


@pytest.mark.parametrize(
    ("values", "length"),
    [([], 0), ([5], 1), ([1, 2, 3], 3), ([3, 2, 1], 1), ([10, 9, 2, 5, 3, 7, 101, 18], 4), ([2, 2, 2], 1), ([0, 1, 0, 3, 2, 3], 4)],
)
def test_length(values, length):
    assert longest_rise(values) == length
