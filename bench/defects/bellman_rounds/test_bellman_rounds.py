import pytest
from bellman_rounds import NegativeCycle, shortest


def test_in_order():
    assert shortest([("a", "b", 1), ("b", "c", -2)], "abc", "a") == {"a": 0, "b": 1, "c": -1}


def test_against_the_order():
    edges = [("c", "d", 1), ("b", "c", 1), ("a", "b", 1)]
    assert shortest(edges, "abcd", "a") == {"a": 0, "b": 1, "c": 2, "d": 3}


def test_two_nodes():
    assert shortest([("a", "b", 4)], "ab", "a") == {"a": 0, "b": 4}


def test_unreachable():
    assert shortest([("b", "a", 1)], "ab", "a")["b"] == float("inf")


def test_negative_cycle():
    with pytest.raises(NegativeCycle):
        shortest([("a", "b", 1), ("b", "a", -2)], "ab", "a")


def test_zero_cycle():
    assert shortest([("a", "b", 2), ("b", "a", -2)], "ab", "a") == {"a": 0, "b": 2}
