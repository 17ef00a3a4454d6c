"""Cheapest routes."""

from toolkit.errors import NoRoute
from toolkit.graph.digraph import Digraph
from toolkit.graph.heap import IndexedHeap


def cheapest_costs(graph: Digraph, start: str) -> dict[str, float]:
    """The cost of the cheapest route to every node that can be reached."""
    return _search(graph, start)[0]


def cheapest_route(graph: Digraph, start: str, goal: str) -> tuple[float, list[str]]:
    """The cheapest route and what it costs."""
    costs, came_from = _search(graph, start)
    if goal not in costs:
        raise NoRoute(f"no route from {start!r} to {goal!r}")
    route = [goal]
    while route[-1] != start:
        route.append(came_from[route[-1]])
    return costs[goal], route[::-1]


def _search(graph: Digraph, start: str) -> tuple[dict[str, float], dict[str, str]]:
    frontier: IndexedHeap[str] = IndexedHeap()
    frontier.push(start, 0.0)
    best = {start: 0.0}
    done: dict[str, float] = {}
    came_from: dict[str, str] = {}
    while frontier:
        node, cost = frontier.pop()
        done[node] = cost
        for neighbour, step in graph.out(node):
            if neighbour in done:
                continue
            if neighbour not in best or cost + step < best[neighbour]:
                best[neighbour] = cost + step
                came_from[neighbour] = node
                frontier.push(neighbour, cost + step)
    return done, came_from
