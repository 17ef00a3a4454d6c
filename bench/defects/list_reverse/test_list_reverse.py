import pytest
from list_reverse import from_values, reverse, to_values


@pytest.mark.parametrize("values", [[], [1], [1, 2], [1, 2, 3], list("abcd")])
def test_reverse(values):
    assert to_values(reverse(from_values(values))) == values[::-1]


def test_twice():
    assert to_values(reverse(reverse(from_values([1, 2, 3])))) == [1, 2, 3]


def test_in_place():
    head = from_values([1, 2])
    assert reverse(head).following is head
