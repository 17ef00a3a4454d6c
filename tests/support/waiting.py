"""Waiting with a deadline that names itself."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(what: str, look: Callable[[], T], *, within_s: float = 10) -> T:
    """The first true answer of `look`. Fails, naming `what`, when none comes in time."""
    deadline = time.monotonic() + within_s
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {within_s:g} s; last seen: {seen!r}")
        time.sleep(0.01)
