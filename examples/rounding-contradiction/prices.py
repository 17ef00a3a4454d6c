"""Prices in steps of five cents."""

from collections.abc import Iterable


def to_step(cents: int, step: int = 5) -> int:
    """The nearest multiple of the step."""
    if step < 1:
        raise ValueError("step must be at least 1")
    lower, rest = divmod(cents, step)
    if 2 * rest >= step:
        lower += 1
    return lower * step


def total(cents: Iterable[int], step: int = 5) -> int:
    """The sum of the prices, rounded once at the end."""
    return to_step(sum(cents), step)
