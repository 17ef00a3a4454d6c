"""Counting the days on which people work."""

from collections.abc import Collection, Iterator
from datetime import date, timedelta

_DAY = timedelta(days=1)


def is_workday(day: date, holidays: Collection[date] = ()) -> bool:
    return day.weekday() < 5 and day not in holidays


def days(start: date, end: date) -> Iterator[date]:
    """Every day from start up to, not including, end."""
    while start < end:
        yield start
        start += _DAY


def workdays_between(start: date, end: date, holidays: Collection[date] = ()) -> int:
    return sum(is_workday(day, holidays) for day in days(start, end))


def add_workdays(start: date, count: int, holidays: Collection[date] = ()) -> date:
    """The workday that many workdays later, or earlier for a negative count."""
    step = _DAY if count >= 0 else -_DAY
    left = abs(count)
    while left:
        start += step
        left -= is_workday(start, holidays)
    return start
