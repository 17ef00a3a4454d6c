from floyd_all_pairs import INFINITY, all_pairs


def test_direct():
    assert all_pairs(2, [(0, 1, 3)]) == [[0, 3], [INFINITY, 0]]


def test_through():
    table = all_pairs(3, [(0, 1, 1), (1, 2, 2), (0, 2, 9)])
    assert table == [[0, 1, 3], [INFINITY, 0, 2], [INFINITY, INFINITY, 0]]


def test_cheapest_parallel_edge():
    assert all_pairs(2, [(0, 1, 5), (0, 1, 2)])[0][1] == 2


def test_ring():
    table = all_pairs(4, [(0, 1, 1), (1, 2, 1), (2, 3, 1), (3, 0, 1)])
    assert table == [[(j - i) % 4 for j in range(4)] for i in range(4)]


def test_long_way():
    table = all_pairs(4, [(3, 2, 1), (2, 1, 1), (1, 0, 1)])
    assert table[3] == [3, 2, 1, 0]
    assert table[0][3] == INFINITY
