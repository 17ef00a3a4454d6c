import pytest
from linked_remove import Chain


@pytest.mark.parametrize(
    ("values", "value", "left"),
    [([1], 1, []), ([1, 2, 3], 1, [2, 3]), ([1, 2, 3], 2, [1, 3]), ([1, 2, 3], 3, [1, 2]), ([1, 2, 1], 1, [2, 1])],
)
def test_remove(values, value, left):
    chain = Chain(values)
    assert chain.remove(value)
    assert list(chain) == left
    assert chain.size == len(left)


def test_missing():
    chain = Chain([1])
    assert not chain.remove(2)
    assert list(chain) == [1]


def test_empty():
    assert not Chain().remove(1)
