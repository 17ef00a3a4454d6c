# Modelled on networkx: an edge from a node to itself counts twice in the degree of the node.
from netgraph import Graph


def test_degree():
    graph = Graph([(1, 2), (2, 3)])
    assert [graph.degree(n) for n in (1, 2, 3)] == [1, 2, 1]


def test_edges_once():
    graph = Graph([(1, 2), (2, 1), (2, 2)])
    assert sorted(tuple(sorted(e)) for e in graph.edges()) == [(1, 2), (2, 2)]


def test_loop_counts_twice():
    assert Graph([("a", "a")]).degree("a") == 2
    assert Graph([("a", "a"), ("a", "b")]).degree("a") == 3


def test_sum_of_degrees_is_twice_the_edges():
    graph = Graph([(1, 2), (2, 3), (3, 1), (3, 3), (4, 4)])
    assert sum(graph.degree(n) for n in graph) == 2 * len(list(graph.edges()))


def test_isolated_node():
    graph = Graph()
    graph.add_node("x")
    assert graph.degree("x") == 0
    assert len(graph) == 1


def test_euler_circuit():
    assert Graph([(1, 2), (2, 3), (3, 1)]).has_euler_circuit()
    assert Graph([(1, 2), (2, 3), (3, 1), (1, 1)]).has_euler_circuit()
    assert not Graph([(1, 2), (2, 3)]).has_euler_circuit()
    assert not Graph([(1, 1), (2, 2)]).has_euler_circuit()
