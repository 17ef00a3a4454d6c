"""Cheapest trees that touch every node."""

from collections.abc import Hashable, Iterable

Edge = tuple[float, Hashable, Hashable]


class DisjointSets:
    """Groups that can only be joined."""

    def __init__(self) -> None:
        self._parent: dict[Hashable, Hashable] = {}
        self._size: dict[Hashable, int] = {}

    def find(self, item: Hashable) -> Hashable:
        self._parent.setdefault(item, item)
        self._size.setdefault(item, 1)
        while self._parent[item] != item:
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item

    def join(self, a: Hashable, b: Hashable) -> bool:
        """Whether they were apart before."""
        a, b = self.find(a), self.find(b)
        if a == b:
            return False
        if self._size[a] < self._size[b]:
            a, b = b, a
        self._parent[b] = a
        self._size[a] += self._size[b]
        return True


def spanning_tree(edges: Iterable[Edge]) -> list[Edge]:
    sets = DisjointSets()
    return [edge for edge in sorted(edges, key=lambda e: e[0]) if sets.join(edge[1], edge[2])]
