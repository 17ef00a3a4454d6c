import pytest
from insertion_sort import insertion_sort


@pytest.mark.parametrize("items", [[], [1], [2, 1], [3, 1, 2], [5, 4, 3, 2, 1], [1, 2, 3]])
def test_sorts(items):
    assert insertion_sort(list(items)) == sorted(items)


def test_in_place():
    items = [2, 1]
    assert insertion_sort(items) is items


def test_stable():
    items = [("b", 1), ("a", 1), ("c", 0), ("d", 1)]
    assert insertion_sort(items, key=lambda p: p[1]) == [("c", 0), ("b", 1), ("a", 1), ("d", 1)]


def test_stable_words():
    words = ["to", "be", "or", "not", "x"]
    assert insertion_sort(words, key=len) == ["x", "to", "be", "or", "not"]
