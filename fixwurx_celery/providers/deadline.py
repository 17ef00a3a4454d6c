"""A bound on all that one call of a provider does, however many requests that takes."""

import time
from typing import Final

__all__ = ["TIMEOUT_S", "Deadline"]

TIMEOUT_S: Final = 10.0
"""For one call of a provider. A daemon that takes longer is as good as away: the scaling tick goes
on without it, and asks again."""

LEAST_S: Final = 0.05
"""What a request gets whose deadline is over: it ends at once, with its own words."""


class Deadline:
    """The instant at which a call must be over."""

    def __init__(self, within_s: float = TIMEOUT_S) -> None:
        self._at = time.monotonic() + within_s

    def left_s(self) -> float:
        """Seconds for the next request."""
        return max(LEAST_S, self._at - time.monotonic())

    def is_near(self) -> bool:
        """Whether what is not needed should be left out."""
        return self._at - time.monotonic() < TIMEOUT_S / 2
