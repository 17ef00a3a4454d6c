"""A clock that tests move."""

from dataclasses import dataclass


@dataclass(slots=True)
class Clock:
    """Time in ms since 1970, standing still until it is moved."""

    now_ms: int = 1_700_000_000_000

    def advance(self, *, s: float = 0, ms: int = 0) -> None:
        """Moves it, also backwards."""
        self.now_ms += int(s * 1000) + ms
