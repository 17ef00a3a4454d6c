from datetime import date
import pytest
from age_in_years import age

BORN = date(1990, 6, 15)


@pytest.mark.parametrize(
    ("today", "years"),
    [(date(1990, 6, 15), 0), (date(1991, 6, 14), 0), (date(1991, 6, 15), 1), (date(2020, 1, 1), 29), (date(2020, 12, 1), 30), (date(2020, 6, 20), 30), (date(2020, 6, 1), 29)],
)
def test_age(today, years):
    assert age(BORN, today) == years


def test_leap_day():
    assert age(date(2004, 2, 29), date(2005, 2, 28)) == 0
    assert age(date(2004, 2, 29), date(2005, 3, 1)) == 1


def test_unborn():
    with pytest.raises(ValueError):
        age(BORN, date(1990, 6, 14))
