import pytest
from fib_stream import below, fibonacci, nth


def test_start():
    stream = fibonacci()
    assert [next(stream) for _ in range(8)] == [0, 1, 1, 2, 3, 5, 8, 13]


def test_other_start():
    stream = fibonacci(2, 1)
    assert [next(stream) for _ in range(5)] == [2, 1, 3, 4, 7]


@pytest.mark.parametrize(("limit", "numbers"), [(0, []), (1, [0]), (10, [0, 1, 1, 2, 3, 5, 8])])
def test_below(limit, numbers):
    assert below(limit) == numbers


@pytest.mark.parametrize(("n", "number"), [(0, 0), (1, 1), (10, 55), (50, 12586269025)])
def test_nth(n, number):
    assert nth(n) == number
