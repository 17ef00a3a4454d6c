import pytest
from json_numbers import parse_number


@pytest.mark.parametrize(
    ("text", "result"),
    [("7", (7, 1)), ("-12]", (-12, 3)), ("3.25,", (3.25, 4)), ("0.5", (0.5, 3)), ("10 ", (10, 2))],
)
def test_number(text, result):
    assert parse_number(text) == result


def test_position():
    assert parse_number("[42]", 1) == (42, 3)


@pytest.mark.parametrize("text", ["x", "-x", "1.x", "1.", "", "-"])
def test_refused(text):
    with pytest.raises(ValueError):
        parse_number(text)
