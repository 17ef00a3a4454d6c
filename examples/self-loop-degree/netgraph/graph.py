"""Nodes, edges and degrees."""

from collections.abc import Hashable, Iterable, Iterator

Node = Hashable


class Graph:
    """An undirected graph without parallel edges; a node may have an edge to itself."""

    def __init__(self, edges: Iterable[tuple[Node, Node]] = ()) -> None:
        self._neighbours: dict[Node, set[Node]] = {}
        for a, b in edges:
            self.add_edge(a, b)

    def add_node(self, node: Node) -> None:
        self._neighbours.setdefault(node, set())

    def add_edge(self, a: Node, b: Node) -> None:
        self.add_node(a)
        self.add_node(b)
        self._neighbours[a].add(b)
        self._neighbours[b].add(a)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._neighbours)

    def __len__(self) -> int:
        return len(self._neighbours)

    def edges(self) -> Iterator[tuple[Node, Node]]:
        """Every edge once."""
        seen: set[Node] = set()
        for node, neighbours in self._neighbours.items():
            for other in neighbours:
                if other not in seen:
                    yield node, other
            seen.add(node)

    def degree(self, node: Node) -> int:
        """The number of edge ends at a node: an edge to itself has both its ends there."""
        neighbours = self._neighbours[node]
        return len(neighbours)

    def has_euler_circuit(self) -> bool:
        """Whether one closed walk uses every edge exactly once."""
        touched = {node for node in self if self.degree(node) > 0}
        if not touched:
            return True
        if any(self.degree(node) % 2 for node in touched):
            return False
        reached, todo = set(), [next(iter(touched))]
        while todo:
            node = todo.pop()
            if node not in reached:
                reached.add(node)
                todo.extend(self._neighbours[node])
        return reached == touched
