import pytest
from rotated_search import find_in_rotated

ITEMS = [6, 7, 9, 15, 19, 2, 3]


@pytest.mark.parametrize("target", ITEMS)
def test_found(target):
    assert find_in_rotated(ITEMS, target) == ITEMS.index(target)


@pytest.mark.parametrize("target", [1, 4, 8, 20])
def test_missing(target):
    assert find_in_rotated(ITEMS, target) == -1


@pytest.mark.parametrize("items", [[2, 1], [1, 2], [5], [3, 1, 2]])
def test_short(items):
    assert [find_in_rotated(items, t) for t in items] == list(range(len(items)))


@pytest.mark.parametrize("shift", range(9))
def test_every_rotation(shift):
    base = list(range(0, 18, 2))
    items = base[shift:] + base[:shift]
    assert [items[find_in_rotated(items, t)] for t in base] == base
