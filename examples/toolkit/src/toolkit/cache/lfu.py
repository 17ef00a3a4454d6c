"""Least frequently used, the older one among equals."""

from collections import Counter
from collections.abc import Hashable
from typing import Any


class LFU:
    def __init__(self, size: int) -> None:
        self.size = size
        self._items: dict[Hashable, Any] = {}
        self._uses: Counter[Hashable] = Counter()

    def get(self, key: Hashable, default: Any = None) -> Any:
        if key not in self._items:
            return default
        self._uses[key] += 1
        return self._items[key]

    def put(self, key: Hashable, value: Any) -> None:
        if key not in self._items and len(self._items) >= self.size:
            victim = min(self._items, key=self._uses.__getitem__)
            del self._items[victim], self._uses[victim]
        self._items[key] = value
        self._uses[key] += 1

    def keys(self) -> set[Hashable]:
        return set(self._items)
