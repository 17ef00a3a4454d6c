import pytest
from greatest_divisor import gcd, lcm


@pytest.mark.parametrize(
    ("a", "b", "divisor"), [(12, 18, 6), (18, 12, 6), (7, 5, 1), (0, 4, 4), (4, 0, 4), (-6, 4, 2), (9, 9, 9)]
)
def test_gcd(a, b, divisor):
    assert gcd(a, b) == divisor


@pytest.mark.parametrize(("a", "b", "multiple"), [(4, 6, 12), (0, 3, 0), (-4, 6, 12), (5, 7, 35)])
def test_lcm(a, b, multiple):
    assert lcm(a, b) == multiple
