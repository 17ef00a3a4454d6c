"""AsyncBugQueue: handing bugs over and awaiting their outcomes from an event loop."""

import asyncio
import logging
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final

from fixwurx_celery.cluster import ClusterResourceManager
from fixwurx_celery.cluster.ends import EndWatch
from fixwurx_celery.errors import BugUnknown, FixwurxError, WaitTimeout
from fixwurx_celery.integrations.translation import bug_of, priority_of
from fixwurx_celery.logs import words
from fixwurx_celery.store import BugRecord

__all__ = ["AsyncBugQueue"]

LOOK_S: Final = 0.5
TRY_AGAIN_S: Final = 1.0

log = logging.getLogger(__name__)

Waiters = dict[str, list["asyncio.Future[BugRecord]"]]


class AsyncBugQueue:
    """The cluster's waiting line for an asyncio scheduler. One event loop uses it; calls to the
    store are made in threads, and one thread follows all bugs whose outcome is awaited."""

    def __init__(self, manager: ClusterResourceManager) -> None:
        self._manager = manager
        self._waiters: Waiters = {}
        self._watch: EndWatch | None = None
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()

    async def enqueue(self, bug: Any, entropy: float | None = None) -> str:
        """The id of the bug, which is the cluster's from now on. Harmless to repeat.

        With `entropy` (bits) the bug has the priority that follows from it: lower first. Raises
        LineFull, Unsatisfiable, StoreUnavailable, or InputError for what is no bug.
        """
        made = bug_of(bug, entropy)
        return (await asyncio.to_thread(self._manager.enqueue, made)).bug_id

    async def enqueue_many(
        self, bugs: Iterable[Any], entropies: Mapping[str, float] | None = None
    ) -> list[str | FixwurxError]:
        """For each bug its id, or the error that says why it was refused; a round trip per
        thousand. `entropies` are in bits by bug id."""
        known = entropies or {}
        made = [bug_of(bug, known.get(bug_of(bug).id)) for bug in bugs]
        results = await asyncio.to_thread(self._manager.enqueue_many, made)
        return [result if isinstance(result, FixwurxError) else result.bug_id for result in results]

    async def reprioritise(self, entropies: Mapping[str, float]) -> list[str]:
        """Gives the bugs the priorities that follow from these entropies (bits); the ids of those
        that have not ended."""
        priorities = {bug_id: priority_of(entropy) for bug_id, entropy in entropies.items()}
        return list(await asyncio.to_thread(self._manager.prioritise, priorities))

    async def backlog(self) -> dict[str, Any]:
        """How much waits: see ClusterResourceManager.get_backlog."""
        return await asyncio.to_thread(self._manager.get_backlog)

    async def outcome(self, bug_id: str, timeout: float | None = None) -> Any:
        """The outcome (any JSON), as soon as there is one.

        Raises WaitTimeout after `timeout` seconds, and BugUnknown.
        """
        waiting: asyncio.Future[BugRecord] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(bug_id, []).append(waiting)
        self._follow(bug_id)
        try:
            record = await asyncio.wait_for(waiting, timeout)
        except TimeoutError:
            raise WaitTimeout(f"bug {bug_id} had not ended after {timeout:g} s") from None
        finally:
            self._forget(bug_id, waiting)
        return record.outcome

    async def cancel(self, bug_id: str) -> str:
        """CANCELLED; CANCELLING (it runs, and is being killed); or the terminal state it had.
        Raises BugUnknown."""
        return await asyncio.to_thread(self._manager.handle(bug_id).cancel)

    def close(self) -> None:
        """Ends the thread. Bugs go on in the cluster."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    # -- following -------------------------------------------------------------------------

    def _follow(self, bug_id: str) -> None:
        if self._watch is None:
            self._watch = EndWatch(self._manager.connection.store)
            self._thread = threading.Thread(
                target=self._look,
                args=(self._watch, asyncio.get_running_loop()),
                name="fixwurx-outcomes",
                daemon=True,
            )
            self._thread.start()
        self._watch.watch([bug_id])

    def _look(self, watch: EndWatch, loop: asyncio.AbstractEventLoop) -> None:
        while not self._ending.is_set():
            try:
                news = watch.look(LOOK_S)
            except FixwurxError as error:
                log.warning(words(f"outcomes are not known for the moment: {error}"))
                self._ending.wait(TRY_AGAIN_S)
                continue
            try:
                for record in news.ended:
                    loop.call_soon_threadsafe(self._settle, record.id, record)
                for bug_id in news.unknown:
                    loop.call_soon_threadsafe(self._settle, bug_id, BugUnknown(bug_id))
            except RuntimeError:  # the loop has been closed: nobody awaits anything any more
                return

    def _forget(self, bug_id: str, waiting: "asyncio.Future[BugRecord]") -> None:
        left = [one for one in self._waiters.pop(bug_id, []) if one is not waiting]
        if left:
            self._waiters[bug_id] = left

    def _settle(self, bug_id: str, news: BugRecord | BugUnknown) -> None:
        for waiting in self._waiters.pop(bug_id, []):
            if waiting.done():  # given up
                continue
            if isinstance(news, BugUnknown):
                waiting.set_exception(news)
            else:
                waiting.set_result(news)
