import pytest
from digit_sum import digit_root, digits, from_digits


@pytest.mark.parametrize(("number", "expected"), [(0, [0]), (7, [7]), (10, [0, 1]), (-123, [3, 2, 1])])
def test_digits(number, expected):
    assert digits(number) == expected


def test_other_base():
    assert digits(5, 2) == [1, 0, 1]
    assert from_digits([1, 0, 1], 2) == 5


@pytest.mark.parametrize(("number", "root"), [(0, 0), (9, 9), (10, 1), (38, 2), (-99, 9)])
def test_root(number, root):
    assert digit_root(number) == root


@pytest.mark.parametrize("number", [0, 7, 10, 123, 9080])
def test_back(number):
    assert from_digits(digits(number)) == number
