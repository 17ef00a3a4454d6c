import pytest
from lower_bound import lower_bound


@pytest.mark.parametrize(
    ("target", "place"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 3), (7, 4), (8, 5), (99, 5)]
)
def test_place(target, place):
    assert lower_bound([1, 3, 3, 5, 7], target) == place


def test_empty():
    assert lower_bound([], 1) == 0


def test_single():
    assert lower_bound([5], 6) == 1
