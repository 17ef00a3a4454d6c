import pytest
from a_star_cost import cheapest


def test_itself():
    assert cheapest([[5]], (0, 0), (0, 0)) == 0


def test_flat():
    assert cheapest([[1, 1, 1], [1, 1, 1]], (0, 0), (1, 2)) == 3


def test_around_a_mountain():
    grid = [[1, 9, 1], [1, 9, 1], [1, 1, 1]]
    assert cheapest(grid, (0, 0), (0, 2)) == 6


def test_through_a_hill():
    grid = [[1, 3, 1], [1, 9, 1], [1, 1, 1]]
    assert cheapest(grid, (0, 0), (0, 2)) == 4


def test_long_detour():
    grid = [[1, 20, 1, 1], [1, 20, 20, 1], [1, 1, 1, 1]]
    assert cheapest(grid, (0, 0), (0, 2)) == 8


@pytest.mark.parametrize(("goal", "cost"), [((0, 1), 2), ((1, 0), 7), ((1, 1), 3)])
def test_small(goal, cost):
    assert cheapest([[1, 2], [7, 1]], (0, 0), goal) == cost
