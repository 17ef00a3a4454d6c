import pytest
from topo_order import order


def test_nothing():
    assert order({}) == []


def test_independent():
    assert order({"b": [], "a": []}) == ["a", "b"]


def test_chain():
    assert order({"c": ["b"], "b": ["a"], "a": []}) == ["a", "b", "c"]


def test_diamond():
    result = order({"top": ["l", "r"], "l": ["base"], "r": ["base"], "base": []})
    assert result[0] == "base"
    assert result[-1] == "top"


@pytest.mark.parametrize("graph", [{"a": ["a"]}, {"a": ["b"], "b": ["a"]}])
def test_cycle(graph):
    with pytest.raises(ValueError):
        order(graph)
