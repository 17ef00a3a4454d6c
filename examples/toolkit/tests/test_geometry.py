import pytest

from toolkit.geometry.hull import convex_hull
from toolkit.geometry.points import Point, area, turn
from toolkit.geometry.rectangles import Rectangle

SQUARE = [Point(0, 0), Point(2, 0), Point(2, 2), Point(0, 2)]


def test_turn():
    assert turn(Point(0, 0), Point(1, 0), Point(1, 1)) > 0
    assert turn(Point(0, 0), Point(1, 0), Point(1, -1)) < 0
    assert turn(Point(0, 0), Point(1, 1), Point(2, 2)) == 0


@pytest.mark.parametrize(
    ("polygon", "size"), [(SQUARE, 4), (SQUARE[::-1], 4), (SQUARE[:3], 2), (SQUARE[:2], 0), ([], 0)]
)
def test_area(polygon, size):
    assert area(polygon) == size


@pytest.mark.parametrize(
    ("extra", "corners"),
    [([], SQUARE), ([Point(1, 1)], SQUARE), ([Point(1, 0), Point(2, 1)], SQUARE),
     ([Point(3, 1)], [Point(0, 0), Point(2, 0), Point(3, 1), Point(2, 2), Point(0, 2)])],
)  # fmt: skip
def test_hull(extra, corners):
    assert convex_hull([*SQUARE, *extra]) == corners


def test_small_hull():
    assert convex_hull([Point(1, 1), Point(1, 1)]) == [Point(1, 1)]


@pytest.mark.parametrize(
    ("other", "shared"),
    [(Rectangle(1, 1, 3, 3), Rectangle(1, 1, 2, 2)), (Rectangle(3, 0, 4, 1), None),
     (Rectangle(2, 0, 4, 1), Rectangle(2, 0, 2, 1)), (Rectangle(0, 3, 1, 4), None)],
)  # fmt: skip
def test_intersection(other, shared):
    box = Rectangle(0, 0, 2, 2)
    assert box.intersection(other) == shared
    assert other.intersection(box) == shared


def test_rectangle():
    assert Rectangle(0, 0, 2, 3).area == 6
    assert Point(2, 3) in Rectangle(0, 0, 2, 3)
    assert Point(2.1, 3) not in Rectangle(0, 0, 2, 3)
