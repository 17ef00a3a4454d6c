"""What the submitter of a bug holds of it."""

import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from fixwurx_celery.cluster.connection import Connection
from fixwurx_celery.domain.bugs import TERMINAL, BugState
from fixwurx_celery.errors import BugUnknown, WaitTimeout
from fixwurx_celery.store import BugRecord

__all__ = ["BugHandle", "as_completed"]

ENDS: Final = frozenset({"bug_finished", "bug_cancelled", "bug_escalated", "bug_released"})
LOOK_AGAIN_S: Final = 5.0
"""However quiet the event log is, the records themselves are looked at this often."""


class BugHandle:
    """One submitted bug. Holds no state of its own: any process can make one from the id."""

    def __init__(self, connection: Connection, bug_id: str) -> None:
        self._connection, self.bug_id = connection, bug_id

    def __repr__(self) -> str:
        return f"BugHandle({self.bug_id!r})"

    def record(self) -> BugRecord:
        """Everything the store knows of the bug. Raises BugUnknown."""
        return self._connection.store.bug(self.bug_id)

    def state(self) -> BugState:
        """Where the bug is now. Raises BugUnknown."""
        return self.record().state

    def wait(self, timeout: float | None = None) -> Any:
        """The outcome (any JSON), as soon as there is one.

        Raises WaitTimeout after `timeout` seconds, and BugUnknown, also when a store that failed
        over has lost the bug: enqueue it again then.
        """
        self.record()
        for record in as_completed(self._connection, [self.bug_id], timeout=timeout):
            return record.outcome
        raise WaitTimeout(f"bug {self.bug_id} had not ended after {timeout:g} s")

    def cancel(self) -> str:
        """CANCELLED; CANCELLING (it runs, and is being killed); or the terminal state it had."""
        answer, assignments = self._connection.store.cancel(self.bug_id)
        self._connection.ring(assignments)
        return answer


def as_completed(
    connection: Connection, bug_ids: Iterable[str], *, timeout: float | None = None
) -> Iterator[BugRecord]:
    """The records of the bugs as they end, each once; stops when all have, or time is over.

    Raises BugUnknown for one that the store does not know (any more).

    Follows the event log, so that waiting for ten thousand costs no more calls than for one.
    """
    store, open_ids = connection.store, dict.fromkeys(bug_ids)
    deadline = None if timeout is None else time.monotonic() + timeout
    after = store.last_event_id()
    look_at, looked = list(open_ids), time.monotonic()
    while open_ids:
        records = store.bugs(look_at)
        for record in records:
            if record.state in TERMINAL and record.id in open_ids:
                del open_ids[record.id]
                yield record
        known = {record.id for record in records}
        for bug_id in look_at:
            if bug_id in open_ids and bug_id not in known:
                raise BugUnknown(bug_id)
        now = time.monotonic()
        left = LOOK_AGAIN_S if deadline is None else deadline - now
        if left <= 0 or not open_ids:
            return
        events = store.events(after, wait_ms=max(1, int(min(left, 1.0) * 1000)))
        after = events[-1].id if events else after
        look_at = [event.bug for event in events if event.action in ENDS and event.bug in open_ids]
        if not look_at and now - looked > LOOK_AGAIN_S:
            look_at, looked = list(open_ids), now
