# Modelled on dateutil's relativedelta: the last day of February came from the wrong year.
from datetime import date

import pytest

from calmath.delta import CalendarDelta, months_between


@pytest.mark.parametrize(
    ("start", "delta", "expected"),
    [
        (date(2024, 1, 15), CalendarDelta(months=1), date(2024, 2, 15)),
        (date(2023, 1, 31), CalendarDelta(months=1), date(2023, 2, 28)),
        (date(2023, 10, 31), CalendarDelta(months=1), date(2023, 11, 30)),
        (date(2023, 12, 1), CalendarDelta(months=1), date(2024, 1, 1)),
        (date(2023, 1, 1), CalendarDelta(months=-1), date(2022, 12, 1)),
        (date(2023, 3, 1), CalendarDelta(days=-1), date(2023, 2, 28)),
    ],
)
def test_simple_moves(start, delta, expected):
    assert start + delta == expected


def test_leap_day_to_a_common_year():
    assert date(2024, 2, 29) + CalendarDelta(years=1) == date(2025, 2, 28)


def test_end_of_january_into_a_leap_year():
    assert date(2023, 1, 31) + CalendarDelta(years=1, months=1) == date(2024, 2, 29)


def test_end_of_year_backwards():
    assert date(2025, 1, 31) + CalendarDelta(months=-11) == date(2024, 2, 29)


def test_many_months_carry():
    assert date(2020, 5, 31) + CalendarDelta(months=25) == date(2022, 6, 30)
    assert CalendarDelta(months=-25).normalized() == CalendarDelta(-2, -1, 0)


def test_negation():
    assert -CalendarDelta(1, 2, 3) == CalendarDelta(-1, -2, -3)


def test_months_between():
    assert months_between(date(2023, 1, 31), date(2024, 2, 29)) == 13
    assert months_between(date(2023, 1, 15), date(2023, 3, 14)) == 1
    assert months_between(date(2023, 3, 14), date(2023, 1, 15)) == -1
