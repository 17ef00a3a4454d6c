import pytest
from min_stack import MinStack


def filled(*items):
    stack = MinStack()
    for item in items:
        stack.push(item)
    return stack


@pytest.mark.parametrize(("items", "smallest"), [([3], 3), ([3, 1, 2], 1), ([1, 2, 3], 1), ([2, 2], 2)])
def test_smallest(items, smallest):
    assert filled(*items).smallest() == smallest


def test_after_pop():
    stack = filled(3, 1)
    assert stack.pop() == 1
    assert stack.smallest() == 3


def test_equal_minima():
    stack = filled(2, 1, 1)
    stack.pop()
    assert stack.smallest() == 1
    stack.pop()
    assert stack.smallest() == 2


def test_empty():
    with pytest.raises(IndexError):
        MinStack().pop()
