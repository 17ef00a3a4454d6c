import pytest
from merge_runs import merge_runs, merge_sort


def test_left_longer():
    assert merge_runs([1, 5, 9], [2]) == [1, 2, 5, 9]


def test_right_longer():
    assert merge_runs([2], [1, 5, 9]) == [1, 2, 5, 9]


def test_one_empty():
    assert merge_runs([], [1]) == [1]
    assert merge_runs([1], []) == [1]
    assert merge_runs([], []) == []


@pytest.mark.parametrize("items", [[], [1], [2, 1], [3, 3, 1], [5, 2, 8, 1, 9, 0]])
def test_sort(items):
    assert merge_sort(items) == sorted(items)
