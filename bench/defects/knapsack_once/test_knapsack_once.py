import pytest
from knapsack_once import best_value


@pytest.mark.parametrize(
    ("items", "capacity", "value"),
    [([], 5, 0), ([(1, 10)], 0, 0), ([(2, 3)], 4, 3), ([(1, 1), (3, 4), (4, 5), (5, 7)], 7, 9), ([(5, 10), (4, 40), (6, 30), (3, 50)], 10, 90), ([(1, 5)], 10, 5)],
)
def test_value(items, capacity, value):
    assert best_value(items, capacity) == value
