"""TAI from UTC, by the table of leap seconds."""

from bisect import bisect_right
from datetime import date, datetime, timedelta

_FIRST_OFFSET = 10  # seconds, on 1972-01-01

_INSERTED_AFTER = [
    date(1972, 6, 30), date(1972, 12, 31), date(1973, 12, 31), date(1974, 12, 31),
    date(1975, 12, 31), date(1976, 12, 31), date(1977, 12, 31), date(1978, 12, 31),
    date(1979, 12, 31), date(1981, 6, 30), date(1982, 6, 30), date(1983, 6, 30),
    date(1985, 6, 30), date(1987, 12, 31), date(1989, 12, 31), date(1990, 12, 31),
    date(1992, 6, 30), date(1993, 6, 30), date(1994, 6, 30), date(1995, 12, 31),
    date(1997, 6, 30), date(1998, 12, 31), date(2005, 12, 31), date(2008, 12, 31),
    date(2012, 6, 30), date(2015, 6, 30), date(2016, 12, 31),
]  # fmt: skip


def tai_offset(utc: datetime) -> int:
    """Seconds that TAI is ahead of UTC."""
    if utc.year < 1972:
        raise ValueError("there was no fixed offset before 1972")
    yesterday = utc.date() - timedelta(days=1)
    return _FIRST_OFFSET + bisect_right(_INSERTED_AFTER, yesterday)


def elapsed(start: datetime, end: datetime) -> float:
    """True seconds between two instants of UTC, leap seconds counted."""
    return (end - start).total_seconds() + tai_offset(end) - tai_offset(start)
