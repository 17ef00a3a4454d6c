import pytest
from coin_ways import count_ways


@pytest.mark.parametrize(
    ("amount", "coins", "ways"),
    [(0, [1], 1), (5, [1], 1), (4, [1, 2], 3), (5, [1, 2, 5], 4), (3, [2], 0), (10, [2, 5, 3, 6], 5), (100, [1, 5, 10, 25, 50], 292)],
)
def test_ways(amount, coins, ways):
    assert count_ways(amount, coins) == ways
