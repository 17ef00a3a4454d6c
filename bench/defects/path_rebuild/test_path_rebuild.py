from path_rebuild import shortest_path

G = {1: [2, 3], 2: [4], 3: [4, 5], 4: [6], 5: [6], 6: []}


def test_neighbour():
    assert shortest_path(G, 1, 2) == [1, 2]


def test_far():
    assert shortest_path(G, 1, 6) == [1, 2, 4, 6]


def test_itself():
    assert shortest_path(G, 3, 3) == [3]


def test_no_path():
    assert shortest_path(G, 6, 1) == []


def test_names_in_any_order():
    assert shortest_path({"m": ["z"], "z": ["a"], "a": ["k"]}, "m", "k") == ["m", "z", "a", "k"]


def test_middle():
    assert shortest_path(G, 3, 6) in ([3, 4, 6], [3, 5, 6])
