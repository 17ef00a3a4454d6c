"""A decorator on top of the caches."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from toolkit.cache.lru import LRU

F = TypeVar("F", bound=Callable[..., Any])
_ABSENT = object()


def memoized(size: int = 128) -> Callable[[F], F]:
    """Results by arguments; those by keyword count in any order."""

    def decorate(function: F) -> F:
        cache = LRU(size)

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            key = (args, tuple(sorted(kwargs.items())))
            value = cache.get(key, _ABSENT)
            if value is _ABSENT:
                value = function(*args, **kwargs)
                cache.put(key, value)
            return value

        wrapper.cache = cache  # type: ignore[attr-defined]
        return wrapper  # type: ignore[return-value]

    return decorate
