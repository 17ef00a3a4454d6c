"""ParallelExecutor: FixWurx's own, with the cluster's nodes in place of one process.

Each `tick_all` compares what the scheduler lists with what is known; a courier does the waiting.
Engines are made and ticked on nodes (FIXWURX_ENGINE): `create_engine_for_bug` is not called here.
"""

import inspect
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from fixwurx_celery.cluster import ClusterResourceManager
from fixwurx_celery.domain.bugs import Bug
from fixwurx_celery.integrations.courier import Courier
from fixwurx_celery.integrations.translation import bug_of, entropy_of, priority_of
from fixwurx_celery.logs import words
from fixwurx_celery.store import BugRecord

__all__ = ["ParallelExecutor", "Scheduler"]

log = logging.getLogger(__name__)


class Scheduler(Protocol):
    """What is asked of FixWurx's scheduler. Each method may be plain or async."""

    def get_active_bugs(self) -> Any:
        """The bugs that are to be worked on, the most urgent first; each has a `bug_id`."""

    def mark_bug_complete(self, bug_id: str, /) -> Any:
        """Called once for each that has ended, however it ended."""


class ParallelExecutor:
    """Works on all active bugs of a scheduler, as many at a time as the cluster has agents for.

    A bug id stands for one piece of work: one that has ended already, under this executor or an
    earlier one, is complete at once. Bugs that the cluster refuses for now (it has too many
    waiting, or no node that could run them) are held back here and offered again: `held_back`.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        resource_manager: ClusterResourceManager,
        *,
        to_bug: Callable[[Any, float | None], Bug] = bug_of,
        on_end: Callable[[BugRecord], None] | None = None,
    ) -> None:
        """`to_bug` makes the cluster's bug of the scheduler's and its entropy; `on_end` gets the
        record, with the outcome, just before the bug is marked complete (again, should that fail).

        Raises TypeError for a resource manager that has no cluster.
        """
        if not isinstance(resource_manager, ClusterResourceManager):
            raise TypeError(
                f"the executor works on a cluster: give it a ClusterResourceManager, "
                f"not {type(resource_manager).__name__}"
            )
        self.scheduler, self.resource_manager = scheduler, resource_manager
        self._to_bug, self._on_end = to_bug, on_end
        self._ended: deque[BugRecord] = deque()
        self._courier: Courier | None = None
        self._priorities: dict[str, int] = {}
        self._known: set[str] = set()
        self._complete: set[str] = set()
        self._bad: dict[str, Exception] = {}
        self.completed = 0
        """Bugs that were marked complete."""

    async def tick_all(self) -> None:
        """Hands over what is new, tells changed entropies, and completes what has ended. Waits for
        nobody but the scheduler."""
        active = await _settled(self.scheduler.get_active_bugs())
        if self._courier is None:
            self._courier = Courier(self.resource_manager, self._made, self._ended.append)
        self._take_in(active, self._courier)
        await self._complete_ended()

    def _take_in(self, active: Iterable[Any], courier: Courier) -> None:
        listed: set[str] = set()
        new: list[tuple[Any, float | None]] = []
        changed: dict[str, int] = {}
        for each in active:
            bug_id = each.bug_id
            listed.add(bug_id)
            entropy = entropy_of(each, self.scheduler)
            priority = None if entropy is None else priority_of(entropy)
            if bug_id not in self._known:
                self._known.add(bug_id)
                new.append((each, entropy))
            elif priority is not None and priority != self._priorities.get(bug_id, priority):
                changed[bug_id] = priority
            if priority is not None:
                self._priorities[bug_id] = priority
        if new:
            courier.offer(new)
        if changed:
            courier.prioritise(changed)
        # What is listed no more may be listed again one day.
        gone = self._complete - listed
        self._complete -= gone
        self._known -= gone
        for bug_id in list(self._bad.keys() - listed):
            del self._bad[bug_id]
            self._known.discard(bug_id)

    def _made(self, given: tuple[Any, float | None]) -> Bug | None:
        """The bug to hand over; called by the courier, because ten thousand take a while."""
        each, entropy = given
        try:
            return self._to_bug(each, entropy)
        except Exception as error:  # whatever is wrong with this one, the others go on
            self._bad[each.bug_id] = error
            log.error(words(f"the bug is not handed over: {error}", bug=each.bug_id))
            return None

    async def _complete_ended(self) -> None:
        while self._ended:
            record = self._ended.popleft()
            try:
                if self._on_end is not None:
                    self._on_end(record)
                await _settled(self.scheduler.mark_bug_complete(record.id))
            except BaseException:
                self._ended.append(record)  # the next tick completes it
                raise
            self._priorities.pop(record.id, None)
            self._complete.add(record.id)
            self.completed += 1

    # -- looking at it ---------------------------------------------------------------------

    @property
    def held_back(self) -> dict[str, str]:
        """Bugs that are not in the cluster, with the reason why: it refuses them for now, or they
        cannot be taken at all."""
        refusals = dict(self._courier.refusals) if self._courier else {}
        return {bug_id: str(error) for bug_id, error in {**refusals, **self._bad}.items()}

    def get_executor_metrics(self) -> dict[str, Any]:
        """`in_flight` (bugs that wait or run in the cluster), `held_back`, `completed`, and
        `trouble`: why nothing goes on at the moment, empty where it does."""
        return {
            "in_flight": self._courier.in_flight if self._courier else 0,
            "held_back": len(self.held_back),
            "completed": self.completed,
            "trouble": self._courier.trouble if self._courier else "",
        }

    def close(self) -> None:
        """Ends this executor's threads. Bugs in the cluster go on: the next executor completes
        them."""
        courier, self._courier = self._courier, None
        if courier is not None:
            courier.close()

    async def __aenter__(self) -> "ParallelExecutor":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


async def _settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
