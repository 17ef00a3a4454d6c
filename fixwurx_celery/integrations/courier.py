"""Carries bugs between a program that must not wait and the cluster: two threads that do.

offer ──▶ hand over ──▶ in flight ──▶ followed by the event log ──▶ ended
             ▲   │
             └───┘ held back: the cluster refuses them for now
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from fixwurx_celery.cluster import ClusterResourceManager
from fixwurx_celery.cluster.ends import EndWatch
from fixwurx_celery.domain.bugs import Bug
from fixwurx_celery.errors import FixwurxError, StoreUnavailable
from fixwurx_celery.logs import words
from fixwurx_celery.store import BugRecord

__all__ = ["Courier"]

TRY_AGAIN_S: Final = 1.0
"""After a refusal, and while the store is away."""
MOST_TRIED: Final = 1000
"""Of those held back, so many are offered again at a time: the cluster takes them in order."""
AT_ONCE: Final = 250
"""Handed over in one call: the program's own threads must have their turn in between."""
LOOK_S: Final = 0.5

log = logging.getLogger(__name__)


class Courier:
    """Hands bugs over and brings their ends. No method waits for the store. Thread-safe."""

    def __init__(
        self,
        manager: ClusterResourceManager,
        make: Callable[[Any], Bug | None],
        on_end: Callable[[BugRecord], None],
    ) -> None:
        """Both are called in threads of the courier's: `make` makes the bug of what is offered, or
        None where it is none, and `on_end` gets each that has ended, once."""
        self._manager, self._make, self._on_end = manager, make, on_end
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._taken: dict[str, Bug] = {}
        self._held: deque[Bug] = deque()
        self._try_at = 0.0
        self._has_some, self._ending = threading.Event(), threading.Event()
        self._watch = EndWatch(manager.connection.store)
        self.refusals: dict[str, FixwurxError] = {}
        """Why each bug that is held back was refused last."""
        self.trouble = ""
        """Why nothing is carried at the moment; empty where it is."""
        self._threads = [
            threading.Thread(target=self._hand_over, name="fixwurx-hand-over", daemon=True),
            threading.Thread(target=self._follow, name="fixwurx-follow", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def offer(self, given: Sequence[Any]) -> None:
        """Has bugs made of these, and handed over; those refused for now too, when they can be."""
        self._orders.put(lambda: self._make_and_submit(given))

    def prioritise(self, priorities: Mapping[str, int]) -> None:
        """Has the bugs' priorities changed."""
        given = dict(priorities)
        self._orders.put(lambda: self._prioritise(given))

    @property
    def in_flight(self) -> int:
        """Bugs that were taken and have not ended."""
        return len(self._taken)

    def close(self) -> None:
        """Ends the threads. Bugs that were taken go on in the cluster."""
        self._ending.set()
        self._has_some.set()
        self._orders.put(lambda: None)
        for thread in self._threads:
            thread.join(timeout=10)

    # -- handing over ----------------------------------------------------------------------

    def _hand_over(self) -> None:
        while not self._ending.is_set():
            try:
                left_s = max(0.0, self._try_at - time.monotonic())
                self._persist(self._orders.get(timeout=left_s if self._held else None))
            except queue.Empty:
                pass
            if self._held and time.monotonic() >= self._try_at:
                again = [self._held.popleft() for _ in range(min(MOST_TRIED, len(self._held)))]
                self._persist(lambda bugs=again: self._submit(bugs))  # type: ignore[misc]

    def _make_and_submit(self, given: Sequence[Any]) -> None:
        for start in range(0, len(given), AT_ONCE):
            made = [self._make(one) for one in given[start : start + AT_ONCE]]
            self._persist(lambda bugs=[bug for bug in made if bug]: self._submit(bugs))  # type: ignore[misc]

    def _submit(self, bugs: list[Bug]) -> None:
        try:
            results: list[Any] = self._manager.enqueue_many(bugs)
        except StoreUnavailable:
            raise
        except Exception as error:  # whatever it is, no bug may be lost over it
            refused = FixwurxError(f"it cannot be handed over: {error!r}")
            results = [refused] * len(bugs)
        taken: dict[str, Bug] = {}
        held: list[Bug] = []
        for bug, result in zip(bugs, results, strict=True):
            if isinstance(result, FixwurxError):
                held.append(bug)
                if bug.id not in self.refusals:
                    log.warning(words(f"the bug is held back: {result}", bug=bug.id))
                self.refusals[bug.id] = result
            else:
                taken[bug.id] = bug
                self.refusals.pop(bug.id, None)
        if held:
            self._held.extendleft(reversed(held))
            self._try_at = time.monotonic() + TRY_AGAIN_S
        self._taken |= taken
        self._watch.watch(taken)
        self._has_some.set()

    def _prioritise(self, priorities: dict[str, int]) -> None:
        self._manager.prioritise(priorities)
        self._held = deque(
            replace(bug, priority=priorities.get(bug.id, bug.priority)) for bug in self._held
        )

    def _persist(self, call: Callable[[], None]) -> None:
        """Calls until the store has taken it, or this courier ends."""
        while not self._ending.is_set():
            try:
                call()
            except StoreUnavailable as error:
                self._note(error)
                self._ending.wait(TRY_AGAIN_S)
            except Exception:  # the thread goes on: others wait for it
                log.exception("an order was not carried out")
                return
            else:
                self.trouble = ""
                return

    def _note(self, error: Exception) -> None:
        if not self.trouble:
            log.warning(words(f"nothing is carried, and it is tried again: {error}"))
        self.trouble = str(error)

    # -- following -------------------------------------------------------------------------

    def _follow(self) -> None:
        self._has_some.wait()
        while not self._ending.is_set():
            try:
                news = self._watch.look(LOOK_S)
            except Exception as error:  # without this thread no bug would ever be complete
                self._note(error)
                self._ending.wait(TRY_AGAIN_S)
                continue
            for record in news.ended:
                self._taken.pop(record.id, None)
                self._on_end(record)
            # The store does not know them any more: it lost its last moments, or somebody released
            # them. Whoever offered them still wants them done.
            lost = [self._taken.pop(bug) for bug in news.unknown if bug in self._taken]
            if lost:
                text = "bugs are handed over again: the store lost them"
                log.warning(words(text, count=len(lost)))
                self._orders.put(lambda bugs=lost: self._submit(bugs))  # type: ignore[misc]
