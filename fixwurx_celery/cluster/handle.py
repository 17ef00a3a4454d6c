"""What the submitter of a bug holds of it."""

import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from fixwurx_celery.cluster.connection import Connection
from fixwurx_celery.cluster.ends import EndWatch
from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.errors import BugUnknown, WaitTimeout
from fixwurx_celery.store import BugRecord

__all__ = ["BugHandle", "as_completed"]

LOOK_S: Final = 1.0


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

    def retry(self) -> str:
        """Runs the bug again, if it has ended: PENDING; or the live state that it has. Raises
        BugUnknown."""
        answer, assignments = self._connection.store.retry(self.bug_id)
        self._connection.ring(assignments)
        return answer


def as_completed(
    connection: Connection, bug_ids: Iterable[str], *, timeout: float | None = None
) -> Iterator[BugRecord]:
    """The records of the bugs as they end, each once; stops when all have, or time is over.

    Raises BugUnknown for one that the store does not know (any more).
    """
    watch = EndWatch(connection.store)
    watch.watch(bug_ids)
    deadline = None if timeout is None else time.monotonic() + timeout
    left = LOOK_S
    while len(watch) and left > 0:
        news = watch.look(left)
        yield from news.ended
        for bug_id in news.unknown:
            raise BugUnknown(bug_id)
        if deadline is not None:
            left = deadline - time.monotonic()
