"""Samples in one pass."""

import math


class Running:
    """Mean and variance of what was added, without keeping it."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self._squares += delta * (value - self.mean)

    @property
    def variance(self) -> float:
        """Of the population from which the sample was drawn."""
        return self._squares / (self.count - 1) if self.count > 1 else math.nan


def median(values: list[float]) -> float:
    if not values:
        raise ValueError("nothing has no median")
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
