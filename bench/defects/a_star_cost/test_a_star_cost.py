import random
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


@pytest.mark.parametrize("seed", range(4))
def test_against_relaxation(seed):
    rng = random.Random(seed)
    size = 6
    grid = [[rng.randint(1, 9) for _ in range(size)] for _ in range(size)]
    cells = [(r, c) for r in range(size) for c in range(size)]
    best = {cell: 999 for cell in cells} | {(0, 0): 0}
    for _ in cells:
        for r, c in cells:
            for near in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)):
                if near in best:
                    best[near] = min(best[near], best[r, c] + grid[near[0]][near[1]])
    assert all(cheapest(grid, (0, 0), cell) == best[cell] for cell in cells)


@pytest.mark.parametrize(("goal", "cost"), [((0, 1), 2), ((1, 0), 7), ((1, 1), 3)])
def test_small(goal, cost):
    assert cheapest([[1, 2], [7, 1]], (0, 0), goal) == cost
