import pytest
from roman_digits import from_roman, to_roman


@pytest.mark.parametrize(
    ("number", "text"), [(1, "I"), (3, "III"), (4, "IV"), (9, "IX"), (10, "X"), (49, "XLIX"), (1990, "MCMXC"), (2024, "MMXXIV")]
)
def test_roman(number, text):
    assert to_roman(number) == text
    assert from_roman(text) == number


@pytest.mark.parametrize("number", [0, 4000])
def test_range(number):
    with pytest.raises(ValueError):
        to_roman(number)
