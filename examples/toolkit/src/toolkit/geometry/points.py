"""Turning and measuring."""

from typing import NamedTuple


class Point(NamedTuple):
    x: float
    y: float


def turn(a: Point, b: Point, c: Point) -> float:
    """Above 0 when the way from a over b to c turns left, 0 when it is straight."""
    return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)


def area(polygon: list[Point]) -> float:
    """Of a simple polygon, whatever its orientation."""
    total = 0.0
    for here, following in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        total += here.x * following.y - following.x * here.y
    return abs(total) / 2
