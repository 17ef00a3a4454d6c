import pytest
from sliding_mean import moving_average


@pytest.mark.parametrize(
    ("values", "width", "means"),
    [
        ([], 2, []),
        ([1], 2, []),
        ([1, 3], 2, [2]),
        ([1, 3, 5, 7], 2, [2, 4, 6]),
        ([5, 5, 5], 1, [5, 5, 5]),
        ([1, 2, 3], 1, [1, 2, 3]),
        ([3, 0, 0, 6], 3, [1, 2]),
    ],
)
def test_means(values, width, means):
    assert list(moving_average(values, width)) == means
