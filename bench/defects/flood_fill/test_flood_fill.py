from flood_fill import flood_fill


def test_all():
    assert flood_fill([[0, 0], [0, 0]], 0, 0, 7) == [[7, 7], [7, 7]]


def test_border():
    grid = [[1, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert flood_fill(grid, 0, 0, 5) == [[5, 5, 0], [5, 0, 0], [0, 0, 1]]


def test_not_around_the_edge():
    grid = [[1, 0, 1], [0, 0, 0], [1, 0, 1]]
    assert flood_fill(grid, 0, 0, 9) == [[9, 0, 1], [0, 0, 0], [1, 0, 1]]


def test_same_colour():
    assert flood_fill([[3]], 0, 0, 3) == [[3]]


def test_single():
    assert flood_fill([[3]], 0, 0, 4) == [[4]]


def test_input_untouched():
    grid = [[1]]
    flood_fill(grid, 0, 0, 2)
    assert grid == [[1]]
