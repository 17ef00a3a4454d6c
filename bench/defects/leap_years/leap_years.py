def is_leap(year):
    """Whether a year of the Gregorian calendar has 366 days."""
    return year % 4 == 0 or (year % 100 != 0 and year % 400 == 0)


def days_in_year(year):
    return 366 if is_leap(year) else 365


def day_of_year(year, month, day):
    lengths = [31, 28 + is_leap(year), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    return sum(lengths[: month - 1]) + day
