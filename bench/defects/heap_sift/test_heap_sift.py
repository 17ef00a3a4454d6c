import random
import pytest
from heap_sift import heap_sort, sift_down


@pytest.mark.parametrize("items", [[], [1], [2, 1], [1, 3, 2], [5, 5, 1, 4], list(range(10))])
def test_sorts(items):
    assert heap_sort(items) == sorted(items)


@pytest.mark.parametrize("seed", range(3))
def test_random(seed):
    rng = random.Random(seed)
    items = [rng.randrange(50) for _ in range(40)]
    assert heap_sort(items) == sorted(items)


def test_sift_takes_the_larger_child():
    heap = [1, 5, 9, 2, 3]
    sift_down(heap, 0, 5)
    assert heap == [9, 5, 1, 2, 3]
