import pytest
from flatten_deep import flatten


@pytest.mark.parametrize(
    ("items", "flat"),
    [([], []), ([1, 2], [1, 2]), ([1, [2, 3]], [1, 2, 3]), ([[[]]], []), ([1, [2, [3, [4]]]], [1, 2, 3, 4])],
)
def test_all(items, flat):
    assert flatten(items) == flat


def test_depth():
    assert flatten([1, [2, [3]]], 1) == [1, 2, [3]]
    assert flatten([1, [2]], 0) == [1, [2]]


def test_strings_stay_whole():
    assert flatten(["ab", ["cd"]]) == ["ab", "cd"]
