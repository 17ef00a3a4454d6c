"""Which of many bugs have ended: learnt from the event log, so that following ten thousand costs no
more calls than following one."""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fixwurx_celery.domain.bugs import TERMINAL
from fixwurx_celery.store import BugRecord, ClusterStore

__all__ = ["ENDS", "EndWatch", "News"]

ENDS: Final = frozenset({"bug_finished", "bug_cancelled", "bug_escalated", "bug_released"})
LOOK_AGAIN_S: Final = 5.0
"""However quiet the event log is, the records themselves are looked at this often."""


@dataclass(frozen=True, slots=True)
class News:
    """Bugs that have ended, and those that the store does not know (any more)."""

    ended: list[BugRecord]
    unknown: list[str]


class EndWatch:
    """Watches bugs to their ends. One thread looks, and waits for the store; any may add bugs."""

    def __init__(self, store: ClusterStore) -> None:
        self._store = store
        self._after = ""
        self._lock = threading.Lock()
        self._open: set[str] = set()
        self._new: list[str] = []
        self._looked = time.monotonic()

    def __len__(self) -> int:
        return len(self._open)

    def watch(self, bug_ids: Iterable[str]) -> None:
        """Follows these too. They must have been submitted."""
        with self._lock:
            new = [bug_id for bug_id in dict.fromkeys(bug_ids) if bug_id not in self._open]
            self._open.update(new)
            self._new += new

    def look(self, wait_s: float) -> News:
        """What has ended since the last look; waits up to `wait_s` for it. Each bug is told once,
        and then not watched any more. Raises StoreUnavailable: look again."""
        self._after = self._after or self._store.last_event_id()
        with self._lock:
            look_at, new = dict.fromkeys(self._new), len(self._new)
        wait_ms = 0 if look_at else max(1, int(min(wait_s, 1.0) * 1000))
        events = self._store.events(self._after, wait_ms=wait_ms)
        look_at |= {event.bug: None for event in events if event.action in ENDS}
        now = time.monotonic()
        if now - self._looked > LOOK_AGAIN_S:
            with self._lock:
                look_at = dict.fromkeys(self._open)
        look_at = {bug_id: None for bug_id in look_at if bug_id in self._open}
        states = self._store.states(list(look_at))
        records = self._store.bugs([bug for bug, state in states.items() if state in TERMINAL])
        ended = [record for record in records if record.state in TERMINAL]
        # All has been read: only now is it taken as seen.
        self._after = events[-1].id if events else self._after
        if now - self._looked > LOOK_AGAIN_S:
            self._looked = now
        unknown = [bug_id for bug_id in look_at if bug_id not in states]
        with self._lock:
            del self._new[:new]
            self._open.difference_update(unknown, (record.id for record in ended))
        return News(ended, unknown)
