import pytest
from caesar_shift import shift


@pytest.mark.parametrize(
    ("text", "places", "result"),
    [("", 3, ""), ("abc", 1, "bcd"), ("xyz", 3, "abc"), ("Hello, World!", 13, "Uryyb, Jbeyq!"), ("b", -1, "a"), ("a", -1, "z"), ("Z", 1, "A"), ("a", 26, "a")],
)
def test_shift(text, places, result):
    assert shift(text, places) == result


def test_round_trip():
    assert shift(shift("Zebra 42", 7), -7) == "Zebra 42"
