from datetime import date, timedelta

NAMES = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def next_weekday(day, name):
    """The next day of that name, strictly after the given day."""
    wanted = NAMES.index(name)
    ahead = (wanted - day.weekday()) % 7
    return day + timedelta(days=ahead)


def weekday_name(day):
    return NAMES[day.weekday()]
