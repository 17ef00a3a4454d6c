import pytest
from quick_partition import quick_sort


@pytest.mark.parametrize("items", [[], [1], [2, 1], [1, 2, 3, 4], [4, 3, 2, 1]])
def test_distinct(items):
    assert quick_sort(items) == sorted(items)


@pytest.mark.parametrize("items", [[1, 1], [2, 1, 2, 3, 2], [0, 0, 0, 0]])
def test_repeated(items):
    assert quick_sort(items) == sorted(items)


def test_input_untouched():
    items = [3, 1, 2]
    quick_sort(items)
    assert items == [3, 1, 2]
