from datetime import date
import pytest
from iso_weekday import next_weekday, weekday_name

WEDNESDAY = date(2024, 5, 15)


@pytest.mark.parametrize(
    ("name", "day"),
    [("Thursday", 16), ("Friday", 17), ("Sunday", 19), ("Monday", 20), ("Tuesday", 21), ("Wednesday", 22)],
)
def test_next(name, day):
    assert next_weekday(WEDNESDAY, name) == date(2024, 5, day)


def test_over_the_month():
    assert next_weekday(date(2024, 5, 31), "Friday") == date(2024, 6, 7)


def test_name():
    assert weekday_name(WEDNESDAY) == "Wednesday"
