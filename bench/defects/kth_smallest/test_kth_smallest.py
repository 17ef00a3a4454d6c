import random
import pytest
from kth_smallest import kth_smallest


@pytest.mark.parametrize("k", range(7))
def test_each(k):
    items = [7, 2, 9, 4, 4, 1, 8]
    assert kth_smallest(items, k) == sorted(items)[k]


def test_equal_items():
    assert kth_smallest([3, 3, 3], 2) == 3


@pytest.mark.parametrize("seed", range(3))
def test_random(seed):
    rng = random.Random(seed)
    items = [rng.randrange(30) for _ in range(25)]
    assert [kth_smallest(items, k) for k in range(25)] == sorted(items)


@pytest.mark.parametrize("k", [-1, 3])
def test_out_of_range(k):
    with pytest.raises(IndexError):
        kth_smallest([1, 2, 3], k)
