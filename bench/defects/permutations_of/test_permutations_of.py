from itertools import permutations as expected_permutations
import pytest
from permutations_of import permutations


@pytest.mark.parametrize("items", [[], [1], [1, 2], ["a", "b", "c"], [3, 1, 2, 0], [1, 1]])
def test_like_itertools(items):
    assert permutations(items) == [list(p) for p in expected_permutations(items)]


def test_lists_are_separate():
    first, second = permutations([1, 2])
    first.append(9)
    assert second == [2, 1]
