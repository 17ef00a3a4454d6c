from dijkstra_relax import distances

G = {"a": {"b": 4, "c": 1}, "b": {"d": 1}, "c": {"b": 2, "d": 5}, "d": {}}


def test_all():
    assert distances(G, "a") == {"a": 0, "b": 3, "c": 1, "d": 4}


def test_from_the_middle():
    assert distances(G, "c") == {"c": 0, "b": 2, "d": 3}


def test_end():
    assert distances(G, "d") == {"d": 0}


def test_cycle():
    assert distances({1: {2: 5}, 2: {1: 1, 3: 5}, 3: {}}, 1) == {1: 0, 2: 5, 3: 10}


def test_zero_costs():
    assert distances({1: {2: 0}, 2: {3: 0}, 3: {}}, 1) == {1: 0, 2: 0, 3: 0}
