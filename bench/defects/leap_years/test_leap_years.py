import pytest
from leap_years import day_of_year, days_in_year, is_leap


@pytest.mark.parametrize("year", [4, 1996, 2000, 2024, 2400])
def test_leap(year):
    assert is_leap(year)


@pytest.mark.parametrize("year", [1, 1900, 2023, 2100, 2200])
def test_common(year):
    assert not is_leap(year)


def test_days():
    assert days_in_year(2000) == 366
    assert days_in_year(1900) == 365


@pytest.mark.parametrize(("date", "number"), [((2023, 1, 1), 1), ((2024, 12, 31), 366), ((2023, 3, 1), 60), ((1900, 3, 1), 60)])
def test_day_of_year(date, number):
    assert day_of_year(*date) == number
