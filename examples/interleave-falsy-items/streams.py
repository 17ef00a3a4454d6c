"""Combining iterables lazily."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice, zip_longest
from typing import Any, TypeVar

T = TypeVar("T")

_MISSING: Any = object()


def take(count: int, items: Iterable[T]) -> list[T]:
    """The first items, at most `count` of them."""
    return list(islice(items, count))


def interleave_longest(*iterables: Iterable[T]) -> Iterator[T]:
    """One item of each in turn, going on without those that have ended."""
    turns = chain.from_iterable(zip_longest(*iterables, fillvalue=_MISSING))
    return (item for item in turns if item)


def windowed(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Overlapping windows of exactly `size` items."""
    if size < 1:
        raise ValueError("size must be at least 1")
    window: deque[T] = deque(maxlen=size)
    for item in items:
        window.append(item)
        if len(window) == size:
            yield tuple(window)


def split_when(items: Iterable[T], wants_split: Callable[[T, T], bool]) -> Iterator[list[T]]:
    """Runs of items, cut between two neighbours for which `wants_split` is true."""
    iterator = iter(items)
    try:
        previous = next(iterator)
    except StopIteration:
        return
    run = [previous]
    for item in iterator:
        if wants_split(previous, item):
            yield run
            run = []
        run.append(item)
        previous = item
    yield run
