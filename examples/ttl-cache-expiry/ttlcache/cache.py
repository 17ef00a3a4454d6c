"""Least recently used eviction, with a time to live per item."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, MutableMapping
from time import monotonic
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class TTLCache(MutableMapping[K, V], Generic[K, V]):
    """At most `maxsize` items, none older than `ttl` seconds.

    An item set at time t can be read before t + ttl, and no longer at t + ttl.
    """

    def __init__(
        self, maxsize: int, ttl: float, timer: Callable[[], float] = monotonic
    ) -> None:
        if maxsize < 1:
            raise ValueError("maxsize must be at least 1")
        self.maxsize = maxsize
        self.ttl = ttl
        self._timer = timer
        self._items: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def _is_alive(self, expires: float) -> bool:
        return self._timer() <= expires

    def __getitem__(self, key: K) -> V:
        expires, value = self._items[key]
        if not self._is_alive(expires):
            del self._items[key]
            raise KeyError(key)
        self._items.move_to_end(key)
        return value

    def __setitem__(self, key: K, value: V) -> None:
        self._items[key] = (self._timer() + self.ttl, value)
        self._items.move_to_end(key)
        self.expire()
        while len(self._items) > self.maxsize:
            self._items.popitem(last=False)

    def __delitem__(self, key: K) -> None:
        del self._items[key]

    def __iter__(self) -> Iterator[K]:
        for key, (expires, _) in list(self._items.items()):
            if self._is_alive(expires):
                yield key

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def expire(self) -> int:
        """Remove what is too old; the number removed."""
        dead = [key for key, (expires, _) in self._items.items() if not self._is_alive(expires)]
        for key in dead:
            del self._items[key]
        return len(dead)
