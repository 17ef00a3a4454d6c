import pytest
from fraction_sum import Ratio


def test_lowest_terms():
    assert Ratio(6, 8) == Ratio(3, 4)
    assert repr(Ratio(1, -2)) == "Ratio(-1, 2)"


@pytest.mark.parametrize(
    ("a", "b", "total"),
    [((1, 2), (1, 3), (5, 6)), ((1, 2), (1, 2), (1, 1)), ((-1, 2), (1, 2), (0, 1)), ((3, 4), (0, 1), (3, 4)), ((2, 3), (5, 7), (29, 21))],
)
def test_sum(a, b, total):
    assert Ratio(*a) + Ratio(*b) == Ratio(*total)


def test_product():
    assert Ratio(2, 3) * Ratio(3, 4) == Ratio(1, 2)


def test_zero():
    with pytest.raises(ZeroDivisionError):
        Ratio(1, 0)
