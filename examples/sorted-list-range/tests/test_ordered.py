# Modelled on sortedcontainers' irange: the flag of one end decided about the other.
import random

import pytest

from ordered import OrderedNumbers


@pytest.fixture
def numbers():
    return OrderedNumbers([5, 1, 3, 3, 9, 7])


def test_stays_sorted():
    rng = random.Random(3)
    source = [rng.randrange(100) for _ in range(200)]
    assert list(OrderedNumbers(source)) == sorted(source)
    assert len(OrderedNumbers(source)) == 200


def test_long_input_in_any_order():
    source = random.Random(1).sample(range(500), 300)
    numbers = OrderedNumbers(source)
    assert list(numbers) == sorted(source)
    assert all(number in numbers for number in source)


def test_contains(numbers):
    assert 3 in numbers
    assert 4 not in numbers
    assert 10 not in numbers


@pytest.mark.parametrize(
    ("inclusive", "expected"),
    [
        ((True, True), [3, 3, 5, 7]),
        ((False, True), [5, 7]),
        ((True, False), [3, 3, 5]),
        ((False, False), [5]),
    ],
)
def test_between(numbers, inclusive, expected):
    assert numbers.between(3, 7, inclusive) == expected


def test_count(numbers):
    assert numbers.count(3) == 2
    assert numbers.count(4) == 0


def test_empty():
    assert list(OrderedNumbers()) == []
    assert OrderedNumbers().between(0, 9) == []
    assert 1 not in OrderedNumbers()
