import math
import statistics

import pytest

from toolkit.errors import ParseError
from toolkit.numbers.bases import from_base, to_base
from toolkit.numbers.primes import factors, primes_below, totient
from toolkit.numbers.statistics import Running, median


@pytest.mark.parametrize(
    ("limit", "primes"), [(-1, []), (0, []), (2, []), (3, [2]), (12, [2, 3, 5, 7, 11]), (26, [2, 3, 5, 7, 11, 13, 17, 19, 23])]
)
def test_primes(limit, primes):
    assert primes_below(limit) == primes


@pytest.mark.parametrize(
    ("number", "found"), [(1, {}), (2, {2: 1}), (12, {2: 2, 3: 1}), (49, {7: 2}), (97, {97: 1}), (360, {2: 3, 3: 2, 5: 1})]
)
def test_factors(number, found):
    assert factors(number) == found


def test_no_factors():
    with pytest.raises(ValueError, match="positive"):
        factors(0)


@pytest.mark.parametrize("number", [1, 2, 9, 10, 36, 97])
def test_totient(number):
    assert totient(number) == sum(math.gcd(number, k) == 1 for k in range(1, number + 1))


def test_running():
    values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]
    running = Running()
    for value in values:
        running.add(value)
    assert running.mean == pytest.approx(5)
    assert running.variance == pytest.approx(statistics.variance(values))
    assert math.isnan(Running().variance)


@pytest.mark.parametrize(("values", "middle"), [([3], 3), ([1, 2], 1.5), ([9, 1, 5], 5), ([4, 1, 3, 2], 2.5)])
def test_median(values, middle):
    assert median(values) == middle


def test_no_median():
    with pytest.raises(ValueError, match="no median"):
        median([])


@pytest.mark.parametrize(
    ("number", "base", "text"), [(0, 2, "0"), (5, 2, "101"), (255, 16, "ff"), (-35, 36, "-z"), (1000, 10, "1000")]
)
def test_bases(number, base, text):
    assert to_base(number, base) == text
    assert from_base(text, base) == number


@pytest.mark.parametrize("base", [1, 37])
def test_no_base(base):
    with pytest.raises(ValueError, match="between 2 and 36"):
        to_base(1, base)


def test_bad_digit():
    with pytest.raises(ParseError) as caught:
        from_base("1021", 2)
    assert caught.value.position == 2
