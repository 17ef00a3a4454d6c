import random

import pytest

from toolkit.errors import NoRoute
from toolkit.graph.digraph import Digraph
from toolkit.graph.heap import IndexedHeap
from toolkit.graph.routes import cheapest_costs, cheapest_route

TOWN = Digraph(
    [
        ("home", "park", 9), ("home", "shop", 2), ("home", "pool", 4), ("shop", "park", 5),
        ("shop", "pool", 1), ("pool", "park", 2), ("park", "zoo", 3), ("pool", "zoo", 8),
        ("school", "home", 1),
    ]
)  # fmt: skip


@pytest.mark.parametrize(
    ("goal", "cost", "route"),
    [
        ("home", 0, ["home"]),
        ("shop", 2, ["home", "shop"]),
        ("pool", 3, ["home", "shop", "pool"]),
        ("park", 5, ["home", "shop", "pool", "park"]),
        ("zoo", 8, ["home", "shop", "pool", "park", "zoo"]),
    ],
)
def test_route(goal, cost, route):
    assert cheapest_route(TOWN, "home", goal) == (cost, route)


def test_no_route():
    with pytest.raises(NoRoute, match="'school'"):
        cheapest_route(TOWN, "home", "school")


def test_star_with_shortcuts():
    edges = [("hub", f"n{i}", i) for i in range(1, 8)]
    edges += [("n1", "far", 9), ("n2", "far", 4), ("n3", "far", 2.5), ("n7", "far", 0.5)]
    graph = Digraph(edges)
    assert cheapest_costs(graph, "hub") == {
        "hub": 0, "far": 5.5, **{f"n{i}": i for i in range(1, 8)}
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_against_relaxation(seed):
    rng = random.Random(seed)
    names = [f"n{i}" for i in range(25)]
    graph = Digraph((rng.choice(names), rng.choice(names), rng.randint(1, 30)) for _ in range(90))
    start = next(iter(graph))
    expected = {start: 0}
    for _ in range(len(graph)):
        for source, target, cost in graph.edges():
            if source in expected:
                new = expected[source] + cost
                expected[target] = min(new, expected.get(target, new))
    assert cheapest_costs(graph, start) == expected


def test_heap_in_and_out():
    heap = IndexedHeap()
    for cost in [5, 3, 8, 1]:
        heap.push(f"c{cost}", cost)
    assert "c3" in heap
    heap.push("c8", 2)
    assert heap.pop() == ("c1", 1)
    assert heap.pop() == ("c8", 2)
    assert len(heap) == 2


@pytest.mark.parametrize("seed", range(4))
def test_heap_gives_the_cheapest_first(seed):
    costs = random.Random(seed).sample(range(1000), 40)
    heap = IndexedHeap()
    for cost in costs:
        heap.push(f"c{cost}", cost)
    assert [heap.pop()[1] for _ in costs] == sorted(costs)


def test_empty_heap():
    with pytest.raises(IndexError):
        IndexedHeap().pop()
