"""Visiting nodes, and what follows from the order."""

from collections import deque

from toolkit.graph.digraph import Digraph


def breadth_first(graph: Digraph, start: str) -> list[str]:
    order, todo, seen = [], deque([start]), {start}
    while todo:
        node = todo.popleft()
        order.append(node)
        for neighbour, _ in graph.out(node):
            if neighbour not in seen:
                seen.add(neighbour)
                todo.append(neighbour)
    return order


def topological(graph: Digraph) -> list[str] | None:
    """Every node before those it points at; None when there is a cycle."""
    waiting = dict.fromkeys(graph, 0)
    for _, target, _ in graph.edges():
        waiting[target] += 1
    ready = deque(node for node, count in waiting.items() if count == 0)
    order = []
    while ready:
        node = ready.popleft()
        order.append(node)
        for target, _ in graph.out(node):
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    return order if len(order) == len(graph) else None


def strong_components(graph: Digraph) -> list[set[str]]:
    """Groups of nodes that reach each other, by two depth-first passes."""
    finished: list[str] = []
    seen: set[str] = set()
    for root in graph:
        stack = [(root, False)]
        while stack:
            node, is_left = stack.pop()
            if is_left:
                finished.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack.extend((n, False) for n, _ in graph.out(node))
    turned = graph.reversed()
    components, placed = [], set()
    for root in reversed(finished):
        if root in placed:
            continue
        group = {n for n in breadth_first(turned, root)} - placed
        placed |= group
        components.append(group)
    return components
