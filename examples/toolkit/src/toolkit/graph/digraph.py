"""Directed graphs with costs."""

from collections.abc import Iterable, Iterator


class Digraph:
    """Nodes are strings; a later edge between the same nodes replaces the earlier one."""

    def __init__(self, edges: Iterable[tuple[str, str, float]] = ()) -> None:
        self._out: dict[str, dict[str, float]] = {}
        for source, target, cost in edges:
            self.add(source, target, cost)

    def add(self, source: str, target: str, cost: float = 1.0) -> None:
        self._out.setdefault(source, {})[target] = cost
        self._out.setdefault(target, {})

    def __iter__(self) -> Iterator[str]:
        return iter(self._out)

    def __contains__(self, node: str) -> bool:
        return node in self._out

    def __len__(self) -> int:
        return len(self._out)

    def out(self, node: str) -> Iterator[tuple[str, float]]:
        return iter(self._out[node].items())

    def edges(self) -> Iterator[tuple[str, str, float]]:
        for source, targets in self._out.items():
            for target, cost in targets.items():
                yield source, target, cost

    def reversed(self) -> "Digraph":
        turned = Digraph((target, source, cost) for source, target, cost in self.edges())
        for node in self:
            turned._out.setdefault(node, {})
        return turned
