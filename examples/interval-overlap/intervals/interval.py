"""An interval of a line, and what two of them have in common."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Closed(Enum):
    """Which ends belong to the interval."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"
    NEITHER = "neither"


@dataclass(frozen=True)
class Interval:
    left: float
    right: float
    closed: Closed = Closed.RIGHT

    def __post_init__(self) -> None:
        if self.left > self.right:
            raise ValueError(f"left end {self.left} lies right of {self.right}")

    @property
    def closed_left(self) -> bool:
        return self.closed in (Closed.LEFT, Closed.BOTH)

    @property
    def closed_right(self) -> bool:
        return self.closed in (Closed.RIGHT, Closed.BOTH)

    def __contains__(self, point: float) -> bool:
        after = self.left < point or (self.closed_left and self.left == point)
        before = point < self.right or (self.closed_right and self.right == point)
        return after and before

    def overlaps(self, other: "Interval") -> bool:
        """Whether at least one point lies in both."""
        if self.left == other.right:
            return self.closed_left or other.closed_right
        if self.right == other.left:
            return self.closed_right and other.closed_left
        return self.left < other.right and other.left < self.right


def merge(intervals: Iterable[Interval]) -> list[tuple[float, float]]:
    """The ends of the connected pieces, in order."""
    pieces: list[tuple[float, float]] = []
    current: Interval | None = None
    for item in sorted(intervals, key=lambda i: (i.left, i.right)):
        if current is not None and item.overlaps(current):
            start, end = pieces[-1]
            pieces[-1] = (start, max(end, item.right))
            if item.right > current.right:
                current = item
        else:
            pieces.append((item.left, item.right))
            current = item
    return pieces
