import pytest
from thousands_marks import group_digits


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (7, "7"), (999, "999"), (1000, "1,000"), (12345, "12,345"), (123456, "123,456"), (-1234567, "-1,234,567")],
)
def test_text(number, text):
    assert group_digits(number) == text


def test_mark():
    assert group_digits(1234567, " ") == "1 234 567"
