import pytest
from bipartite_sides import two_colour


def cycle(n):
    return {i: [(i - 1) % n, (i + 1) % n] for i in range(n)}


def test_pair():
    assert two_colour({"a": ["b"], "b": ["a"]}) == {"a": 0, "b": 1}


def test_path():
    assert two_colour({1: [2], 2: [1, 3], 3: [2]}) == {1: 0, 2: 1, 3: 0}


@pytest.mark.parametrize("n", [4, 6, 10])
def test_even_cycle(n):
    colour = two_colour(cycle(n))
    assert colour is not None
    assert all(colour[i] != colour[(i + 1) % n] for i in range(n))


@pytest.mark.parametrize("n", [3, 5, 7])
def test_odd_cycle(n):
    assert two_colour(cycle(n)) is None


def test_apart():
    assert two_colour({1: [], 2: []}) == {1: 0, 2: 0}
