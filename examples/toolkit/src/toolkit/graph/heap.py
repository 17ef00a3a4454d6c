"""A priority queue whose items can be moved forward."""

from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class IndexedHeap(Generic[Item]):
    """A binary heap that knows where every item stands."""

    def __init__(self) -> None:
        self._heap: list[Item] = []
        self._cost: dict[Item, float] = {}
        self._place: dict[Item, int] = {}

    def __len__(self) -> int:
        return len(self._heap)

    def __contains__(self, item: Item) -> bool:
        return item in self._place

    def push(self, item: Item, cost: float) -> None:
        """Add an item, or make one cheaper that is there already; dearer is ignored."""
        if item in self._place:
            if cost < self._cost[item]:
                self._cost[item] = cost
                self._rise(self._place[item])
            return
        self._cost[item] = cost
        self._place[item] = len(self._heap)
        self._heap.append(item)
        self._rise(len(self._heap) - 1)

    def pop(self) -> tuple[Item, float]:
        """The cheapest item and its cost."""
        if not self._heap:
            raise IndexError("the heap is empty")
        self._swap(0, len(self._heap) - 1)
        item = self._heap.pop()
        del self._place[item]
        if self._heap:
            self._sink(0)
        return item, self._cost.pop(item)

    def _is_cheaper(self, first: int, second: int) -> bool:
        return self._cost[self._heap[first]] < self._cost[self._heap[second]]

    def _swap(self, first: int, second: int) -> None:
        heap = self._heap
        heap[first], heap[second] = heap[second], heap[first]
        self._place[heap[first]] = first
        self._place[heap[second]] = second

    def _rise(self, place: int) -> None:
        while place > 0:
            parent = (place - 1) // 2
            if not self._is_cheaper(place, parent):
                return
            self._swap(place, parent)
            place = parent

    def _sink(self, place: int) -> None:
        while True:
            cheapest = place
            for child in (2 * place + 1, 2 * place + 2):
                if child < len(self._heap) and self._is_cheaper(child, place):
                    cheapest = child
            if cheapest == place:
                return
            self._swap(place, cheapest)
            place = cheapest
