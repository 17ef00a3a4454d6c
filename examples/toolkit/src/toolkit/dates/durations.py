"""Durations in words and as ISO 8601."""

import re
from datetime import timedelta

from toolkit.errors import ParseError

_ISO = re.compile(
    r"(?P<sign>-)?P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?"
)


def read_iso(text: str) -> timedelta:
    found = _ISO.fullmatch(text)
    if found is None or text[-1] in "PT":
        raise ParseError(f"not a duration: {text!r}", 0)
    parts = {k: int(v) for k, v in found.groupdict().items() if v and k != "sign"}
    duration = timedelta(**parts)
    return -duration if found["sign"] else duration


def in_words(duration: timedelta, most: int = 2) -> str:
    """The largest units of a duration, at most that many."""
    seconds = int(duration.total_seconds())
    if seconds == 0:
        return "now"
    words = []
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        count, seconds = divmod(seconds, size)
        if count:
            words.append(f"{count} {name}{'' if count == 1 else 's'}")
    return " ".join(words[:most])
