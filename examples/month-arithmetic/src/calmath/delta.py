"""Differences in calendar units, which have no fixed length in days."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True)
class CalendarDelta:
    """Years and months move the calendar page, days count afterwards.

    When the month arrived at is too short for the day, its last day is taken.
    """

    years: int = 0
    months: int = 0
    days: int = 0

    def __neg__(self) -> "CalendarDelta":
        return CalendarDelta(-self.years, -self.months, -self.days)

    def normalized(self) -> "CalendarDelta":
        sign = -1 if self.months < 0 else 1
        carry, months = divmod(abs(self.months), 12)
        return CalendarDelta(self.years + sign * carry, sign * months, self.days)

    def __radd__(self, start: date) -> date:
        delta = self.normalized()
        year = start.year + delta.years
        month = start.month + delta.months
        if month > 12:
            year += 1
            month -= 12
        elif month < 1:
            year -= 1
            month += 12
        last = monthrange(start.year, month)[1]
        moved = start.replace(year=year, month=month, day=min(last, start.day))
        return moved + timedelta(days=delta.days)


def months_between(start: date, end: date) -> int:
    """Whole months from start to end; negative when end comes first."""
    if end < start:
        return -months_between(end, start)
    months = (end.year - start.year) * 12 + end.month - start.month
    if start + CalendarDelta(months=months) > end:
        months -= 1
    return months
