import pytest
from tree_walk import Node, in_order, insert


def build(values):
    root = None
    for value in values:
        root = insert(root, value)
    return root


def test_nothing():
    assert list(in_order(None)) == []


def test_single():
    assert list(in_order(Node(1))) == [1]


@pytest.mark.parametrize("values", [[2, 1, 3], [5, 4, 3], [3, 4, 5], [4, 2, 6, 1, 3, 5, 7], [1, 1]])
def test_sorted(values):
    assert list(in_order(build(values))) == sorted(set(values))
