import pytest
from power_mod import power_mod


@pytest.mark.parametrize(
    ("base", "exponent", "modulus"),
    [(2, 10, 1000), (2, 10, 7), (3, 200, 13), (10, 0, 7), (5, 3, 1), (7, 1, 5), (123, 456, 789)],
)
def test_like_pow(base, exponent, modulus):
    assert power_mod(base, exponent, modulus) == pow(base, exponent, modulus)


def test_modulus():
    with pytest.raises(ValueError):
        power_mod(2, 2, 0)
