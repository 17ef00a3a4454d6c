import random
import pytest
from shell_gaps import shell_sort


@pytest.mark.parametrize("items", [[], [1], [2, 1], [3, 2, 1], [4, 3, 2, 1], [1, 5, 2, 4, 3]])
def test_small(items):
    assert shell_sort(items) == sorted(items)


@pytest.mark.parametrize("size", [9, 16, 33, 36])
def test_random(size):
    rng = random.Random(size)
    items = [rng.randrange(99) for _ in range(size)]
    assert shell_sort(items) == sorted(items)
