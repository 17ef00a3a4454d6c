"""The text of a progress bar."""

from collections.abc import Iterable, Iterator, Sized
from typing import Generic, TypeVar

T = TypeVar("T")

_BLOCKS = " .:|#"


def format_interval(seconds: float) -> str:
    """`[h:]mm:ss`"""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:d}:{minutes:02d}:{rest:02d}"
    return f"{minutes:02d}:{rest:02d}"


def format_bar(fraction: float, width: int) -> str:
    """A bar of exactly `width` characters."""
    full, part = divmod(int(fraction * width * (len(_BLOCKS) - 1)), len(_BLOCKS) - 1)
    bar = "#" * full
    if full < width:
        bar += _BLOCKS[part]
    return bar.ljust(width)


class Meter(Generic[T]):
    """Counts items as they pass; `total` may be given, measured or unknown."""

    def __init__(self, items: Iterable[T] | None = None, total: int | None = None) -> None:
        if total is None and isinstance(items, Sized):
            total = len(items)
        self.items = items
        self.total = total
        self.done = 0

    def __len__(self) -> int:
        if self.total is None:
            raise TypeError("the length is not known")
        return self.total

    def __bool__(self) -> bool:
        if self.total:
            return self.total > 0
        if self.items is None:
            raise TypeError("neither items nor total")
        return True

    def __iter__(self) -> Iterator[T]:
        for item in self.items or ():
            yield item
            self.done += 1

    def render(self, elapsed: float, width: int = 10) -> str:
        if not self.total:
            return f"{self.done}it [{format_interval(elapsed)}]"
        fraction = self.done / self.total
        bar = format_bar(fraction, width)
        return f"{fraction:4.0%}|{bar}| {self.done}/{self.total} [{format_interval(elapsed)}]"
