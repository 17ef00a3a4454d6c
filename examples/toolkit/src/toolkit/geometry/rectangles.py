"""Rectangles parallel to the axes."""

from dataclasses import dataclass

from toolkit.geometry.points import Point


@dataclass(frozen=True)
class Rectangle:
    left: float
    bottom: float
    right: float
    top: float

    def __contains__(self, point: Point) -> bool:
        return self.left <= point.x <= self.right and self.bottom <= point.y <= self.top

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.top - self.bottom)

    def intersection(self, other: "Rectangle") -> "Rectangle | None":
        left, right = max(self.left, other.left), min(self.right, other.right)
        bottom, top = max(self.bottom, other.bottom), min(self.top, other.top)
        if left > right or bottom > top:
            return None
        return Rectangle(left, bottom, right, top)
