import pytest
from subset_sums import find_subset


@pytest.mark.parametrize(
    ("numbers", "target", "subset"),
    [([], 0, []), ([], 3, None), ([3], 3, [3]), ([1, 2], 2, [2]), ([5, 4, 3], 8, [5, 3]), ([8, 6, 7, 5], 12, [7, 5]), ([2, 4], 5, None)],
)
def test_subset(numbers, target, subset):
    assert find_subset(numbers, target) == subset
