"""Amounts in cents; rounding is always explicit."""

from decimal import ROUND_HALF_UP, Decimal


def percent_of(cents: int, percent: Decimal) -> int:
    """That share of an amount, commercially rounded."""
    exact = Decimal(cents) * percent / 100
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def clamp(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))


def show(cents: int) -> str:
    sign = "-" if cents < 0 else ""
    whole, rest = divmod(abs(cents), 100)
    return f"{sign}{whole:,}.{rest:02d}"
