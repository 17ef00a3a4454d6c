from datetime import date, timedelta

import pytest

from toolkit.dates.durations import in_words, read_iso
from toolkit.dates.easter import easter, good_friday, pentecost
from toolkit.dates.periods import Quarter, week_label, week_start
from toolkit.dates.workdays import add_workdays, days, is_workday, workdays_between
from toolkit.errors import ParseError


@pytest.mark.parametrize(
    "day",
    [date(1961, 4, 2), date(2000, 4, 23), date(2008, 3, 23), date(2011, 4, 24), date(2019, 4, 21),
     date(2024, 3, 31), date(2025, 4, 20), date(2038, 4, 25)],
)  # fmt: skip
def test_easter(day):
    assert easter(day.year) == day


def test_moving_feasts():
    assert good_friday(2024) == date(2024, 3, 29)
    assert pentecost(2024) == date(2024, 5, 19)


@pytest.mark.parametrize(
    ("day", "works"),
    [(date(2024, 5, 17), True), (date(2024, 5, 18), False), (date(2024, 5, 19), False),
     (date(2024, 5, 20), False), (date(2024, 5, 21), True)],
)  # fmt: skip
def test_is_workday(day, works):
    assert is_workday(day, {date(2024, 5, 20)}) is works


def test_days():
    assert list(days(date(2024, 2, 28), date(2024, 3, 1))) == [date(2024, 2, 28), date(2024, 2, 29)]
    assert list(days(date(2024, 1, 2), date(2024, 1, 1))) == []


def test_workdays_between():
    assert workdays_between(date(2024, 5, 1), date(2024, 6, 1)) == 23
    assert workdays_between(date(2024, 5, 18), date(2024, 5, 20)) == 0


@pytest.mark.parametrize(
    ("count", "result"),
    [(0, date(2024, 5, 17)), (1, date(2024, 5, 20)), (5, date(2024, 5, 24)), (-1, date(2024, 5, 16)),
     (-5, date(2024, 5, 10))],
)  # fmt: skip
def test_add_workdays(count, result):
    assert add_workdays(date(2024, 5, 17), count) == result


@pytest.mark.parametrize(
    ("text", "duration"),
    [("P1D", timedelta(days=1)), ("PT90M", timedelta(minutes=90)), ("-P2W", -timedelta(weeks=2)),
     ("P1DT2H3S", timedelta(days=1, hours=2, seconds=3))],
)  # fmt: skip
def test_read_iso(text, duration):
    assert read_iso(text) == duration


@pytest.mark.parametrize("text", ["P", "PT", "1D", "P1H", "P-1D"])
def test_bad_iso(text):
    with pytest.raises(ParseError):
        read_iso(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "now"), (1, "1 second"), (61, "1 minute 1 second"), (7200, "2 hours"),
     (90061, "1 day 1 hour")],
)  # fmt: skip
def test_in_words(seconds, text):
    assert in_words(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("day", "number"), [(date(2024, 1, 1), 1), (date(2024, 3, 31), 1), (date(2024, 4, 1), 2), (date(2024, 12, 31), 4)]
)
def test_quarter(day, number):
    quarter = Quarter.of(day)
    assert quarter == Quarter(2024, number)
    assert quarter.first_day <= day <= quarter.last_day


def test_next_quarter():
    assert Quarter(2024, 4).next() == Quarter(2025, 1)
    assert Quarter(2024, 4).last_day == date(2024, 12, 31)


@pytest.mark.parametrize(("day", "label"), [(date(2024, 12, 30), "2025-W01"), (date(2021, 1, 3), "2020-W53")])
def test_weeks(day, label):
    assert week_label(day) == label
    assert week_start(label) <= day < week_start(label) + timedelta(days=7)
