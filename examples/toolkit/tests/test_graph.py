import pytest

from toolkit.graph.digraph import Digraph
from toolkit.graph.spanning import DisjointSets, spanning_tree
from toolkit.graph.traversal import breadth_first, strong_components, topological

EDGES = [("a", "b", 1), ("b", "c", 1), ("c", "a", 1), ("c", "d", 1), ("d", "e", 1), ("e", "d", 1)]


def test_nodes_and_edges():
    graph = Digraph(EDGES)
    assert len(graph) == 5
    assert list(graph.edges()) == EDGES
    assert "e" in graph
    assert "x" not in graph


def test_reversed():
    turned = Digraph([("a", "b", 2)]).reversed()
    assert list(turned.edges()) == [("b", "a", 2)]
    assert set(turned) == {"a", "b"}


@pytest.mark.parametrize(
    ("start", "order"), [("a", ["a", "b", "c", "d", "e"]), ("d", ["d", "e"]), ("c", ["c", "a", "d", "b", "e"])]
)
def test_breadth_first(start, order):
    assert breadth_first(Digraph(EDGES), start) == order


def test_topological():
    assert topological(Digraph([("a", "b", 1), ("b", "c", 1), ("a", "c", 1)])) == ["a", "b", "c"]
    assert topological(Digraph(EDGES)) is None
    assert topological(Digraph()) == []


def test_strong_components():
    assert strong_components(Digraph(EDGES)) == [{"a", "b", "c"}, {"d", "e"}]


def test_components_of_a_chain():
    assert strong_components(Digraph([("a", "b", 1)])) == [{"a"}, {"b"}]


def test_disjoint_sets():
    sets = DisjointSets()
    assert sets.join(1, 2)
    assert sets.join(3, 4)
    assert not sets.join(2, 1)
    assert sets.find(1) != sets.find(3)
    assert sets.join(1, 4)
    assert sets.find(2) == sets.find(3)


@pytest.mark.parametrize(
    ("edges", "cost"),
    [([], 0), ([(3, "a", "b")], 3), ([(1, "a", "b"), (2, "b", "c"), (3, "a", "c")], 3),
     ([(4, 1, 2), (1, 2, 3), (2, 1, 3), (7, 3, 4), (5, 4, 2)], 8)],
)  # fmt: skip
def test_spanning_tree(edges, cost):
    assert sum(edge[0] for edge in spanning_tree(edges)) == cost
