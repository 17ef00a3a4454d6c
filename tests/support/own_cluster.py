"""A cluster on a server of its own, which tests may kill, and what must be true after that."""

import json
import os
import signal
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fixwurx_celery.cluster import ClusterResourceManager, Connection
from fixwurx_celery.domain.bugs import TERMINAL, Bug, BugState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import BugRecord, ClusterStore, Event
from fixwurx_celery.store.event_log import whole_log
from fixwurx_celery.store.invariants import violations
from tests.support.server import Server
from tests.support.waiting import wait_until

QUICK: dict[str, Any] = {
    "heartbeat_interval_sec": 0.3,
    "heartbeat_timeout_sec": 5.0,
    "lease_sec": 8.0,
    "ring_after_sec": 1.0,
    "backoff_sec": 0.2,
    "health_check_interval_sec": 1.0,
}
"""Seconds instead of tens of seconds."""


class OwnCluster:
    """A server, a client's way to it, and the notes in which engines write what they did."""

    def __init__(self, server: Server, folder: Path, **given: Any) -> None:
        self.server, self.folder = server, folder
        self.settings = Settings(
            redis_url=server.url,
            namespace=f"t{uuid.uuid4().hex[:12]}",
            engine="tests.support.engines:Scripted",
            work_dir=str(folder / "work"),
            **{**QUICK, **given},
        )
        self.connection = Connection(self.settings)
        self.store: ClusterStore = self.connection.store
        self.manager = ClusterResourceManager(connection=self.connection)
        self.notes = folder / "notes"
        self.notes.mkdir(parents=True, exist_ok=True)
        self.bugs: list[str] = []

    # -- bugs ------------------------------------------------------------------------------

    def bug(self, *sleeps_s: float, **given: Any) -> Bug:
        """A bug of one step for each of these sleeps; every step is noted."""
        id_ = given.pop("id", f"b{len(self.bugs):03d}-{uuid.uuid4().hex[:6]}")
        self.bugs.append(id_)
        more = given.pop("step", {})
        steps = [
            {"note": str(self.notes / id_), "sleep_s": sleep_s, "phase": f"S{i}", **more}
            for i, sleep_s in enumerate(sleeps_s)
        ]
        payload = {"steps": steps, **given.pop("payload", {})}
        return Bug(id=id_, payload=payload, **given)

    def submit(self, *bugs: Bug) -> list[str]:
        """Takes them in; their ids."""
        answers = self.connection.submit(bugs)
        assert not any(answer.is_refused for answer in answers), answers
        return [bug.id for bug in bugs]

    def steps(self, bug_id: str) -> list[int]:
        """The steps that engines began for this bug, in order."""
        path = self.notes / bug_id
        lines = path.read_text().splitlines() if path.exists() else []
        return [int(json.loads(line)["step"]) for line in lines]

    def record(self, bug_id: str) -> BugRecord:
        return self.store.bug(bug_id)

    def running(self, *bug_ids: str, within_s: float = 20) -> list[BugRecord]:
        """The records of these bugs, once all run."""
        return wait_until(
            f"{len(bug_ids)} bugs run",
            lambda: self._if_all(bug_ids, {BugState.RUNNING}),
            within_s=within_s,
        )

    def ended(self, *bug_ids: str, within_s: float = 30) -> list[BugRecord]:
        """The records of these bugs, or of all, once all have ended."""
        ids = bug_ids or tuple(self.bugs)
        return wait_until(
            f"{len(ids)} bugs end", lambda: self._if_all(ids, TERMINAL), within_s=within_s
        )

    def _if_all(self, ids: Sequence[str], states: Any) -> list[BugRecord]:
        records = self.store.bugs(ids)
        return (
            records
            if {r.state for r in records} <= set(states) and len(records) == len(ids)
            else []
        )

    # -- the server ------------------------------------------------------------------------

    @contextmanager
    def frozen_server(self) -> Iterator[None]:
        """The server stands still."""
        assert self.server.process is not None
        os.kill(self.server.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.server.process.pid, signal.SIGCONT)

    def events(self, after: str = "0-0") -> list[Event]:
        """What happened after that."""
        return self.store.events(after, most=100_000)

    def lives(self) -> dict[str, str]:
        """The nodes in service, each with its incarnation."""
        return {node.worker_id: node.incarnation for node in self.store.snapshot().live}

    def instant(self) -> str:
        """Ids of events are times: what comes after this one has happened later than now."""
        return f"{int(time.time() * 1000)}-0"

    def all_start_again(self, after: str, *, within_s: float) -> float:
        """How long it takes until each node in service has started a bug after that instant."""
        began = time.monotonic()
        names = set(self.lives())

        def look() -> bool:
            seen = {event.node for event in self.events(after) if event.action == "bug_started"}
            return names <= seen

        wait_until(f"{sorted(names)} start bugs again", look, within_s=within_s)
        return time.monotonic() - began

    def wait_s(self, seconds: float) -> None:
        """Lets an outage last."""
        time.sleep(seconds)

    # -- what must be true -----------------------------------------------------------------

    def check(self, *, rerun: Sequence[str] = ()) -> None:
        """Nothing lost, nothing twice; nothing charged; no work done twice, but in bugs of `rerun`:
        they may have been given back, and then did once more what they were at, and no more.
        """
        records = {record.id: record for record in self.ended()}
        assert set(records) == set(self.bugs), "bugs are lost"
        started: dict[str, int] = {}
        ends: dict[str, int] = {}
        for event in whole_log(self.store):
            started[event.bug] = started.get(event.bug, 0) + (event.action == "bug_started")
            ends[event.bug] = ends.get(event.bug, 0) + (event.action == "bug_finished")
        wrong = []
        for bug_id, record in records.items():
            steps, count = self.steps(bug_id), len(record.spec["payload"]["steps"])
            if record.state is not BugState.DONE or record.outcome["outcome"] != "FIXED":
                wrong.append(f"{bug_id} ended as {record.state}: {record.outcome}")
            if ends.get(bug_id) != 1:
                wrong.append(f"{bug_id} ended {ends.get(bug_id)} times")
            if (record.attempts, record.losses) != (0, 0):
                wrong.append(f"{bug_id} was charged: {record.history}")
            runs = started[bug_id]
            again = len(steps) - len(set(steps))
            if set(steps) != set(range(count)) or again > runs - 1 or steps != sorted(steps):
                wrong.append(f"{bug_id} ran {runs} times, and did steps {steps} of {count}")
            if again and bug_id not in rerun:
                wrong.append(f"{bug_id} did more than once what it was at: {steps}")
        assert not wrong, "\n".join(wrong)
        assert violations(self.store, patience_s=3) == []

    def close(self) -> None:
        self.connection.close()
