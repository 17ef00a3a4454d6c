"""The event loop of an engine whose methods are `async def`."""

import asyncio
import inspect
from types import NoneType
from typing import Any, Final

__all__ = ["EventLoop"]

CLOSES_WITHIN_S: Final = 0.5
"""What the engine's own tasks have for it once they are cancelled. Their process ends anyway if
more than this is left of them."""


class EventLoop:
    """Runs to its end what a method returned. There is one loop for all methods of an engine, made
    when first needed: connections and tasks of the engine's outlive a tick, and go on in the next.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def result_of(self, returned: Any) -> Any:
        """What was returned, or what it comes to when awaited."""
        if isinstance(returned, NoneType | bool) or not inspect.isawaitable(returned):
            return returned
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(returned)

    def close(self) -> None:
        """Cancels the tasks that are left, and ends the loop without waiting for its threads."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=CLOSES_WITHIN_S))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
