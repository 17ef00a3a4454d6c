import pytest
from matrix_search import staircase_search

M = [[1, 4, 7, 11], [2, 5, 8, 12], [3, 6, 9, 16]]


@pytest.mark.parametrize("row", range(3))
@pytest.mark.parametrize("column", range(4))
def test_found(row, column):
    assert staircase_search(M, M[row][column]) == (row, column)


@pytest.mark.parametrize("target", [0, 10, 17])
def test_missing(target):
    assert staircase_search(M, target) is None


def test_empty():
    assert staircase_search([], 1) is None
