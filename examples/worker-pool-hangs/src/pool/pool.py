"""Maps a function over items in forked children.

A child finishes what it has begun, so it ignores SIGTERM and leaves when it is told to.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterable
from typing import Any

_FORK = multiprocessing.get_context("fork")
_STOP = None


def _serve(function: Callable[[Any], Any], tasks: Any, results: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while (task := tasks.get()) is not _STOP:
        index, item = task
        try:
            results.put((index, True, function(item)))
        except Exception as error:
            results.put((index, False, f"{type(error).__name__}: {error}"))


class TaskFailed(RuntimeError):
    """The function raised in a child."""


class Pool:
    """`size` children, alive from the first map to close."""

    def __init__(self, function: Callable[[Any], Any], size: int) -> None:
        if size < 1:
            raise ValueError("a pool needs at least one child")
        self._size = size
        self._tasks = _FORK.SimpleQueue()
        self._results = _FORK.SimpleQueue()
        self._children = [
            _FORK.Process(target=_serve, args=(function, self._tasks, self._results))
            for _ in range(size)
        ]
        for child in self._children:
            child.start()

    def map(self, items: Iterable[Any]) -> list[Any]:
        """The results in the order of the items."""
        count = 0
        for index, item in enumerate(items):
            self._tasks.put((index, item))
            count += 1
        answers: dict[int, Any] = {}
        failure: str | None = None
        for _ in range(count):
            index, worked, value = self._results.get()
            if worked:
                answers[index] = value
            else:
                failure = failure or value
        if failure is not None:
            raise TaskFailed(failure)
        return [answers[index] for index in range(count)]

    def close(self) -> None:
        """Tell every child to leave and wait until all have."""
        for _ in range(self._size - 1):
            self._tasks.put(_STOP)
        for child in self._children:
            child.join()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
