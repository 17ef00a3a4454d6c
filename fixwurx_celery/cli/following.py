"""A run's bugs in a cluster: handed over together, followed by the event log, and written down.

open ──▶ (waiting) ──▶ running ──▶ ended: a line in results.jsonl
            │
            └ withdrawn: cancelled before it began, nothing is written
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from fixwurx_celery.artifacts import Artifacts
from fixwurx_celery.cli.lines import Item, is_answer, is_same, line_of, other_id
from fixwurx_celery.cli.progress import SCALING, BugView, Progress, RunView, scaling_words
from fixwurx_celery.cli.results import NO_VERDICT, Results
from fixwurx_celery.cli.sources import Packed
from fixwurx_celery.cluster import Connection
from fixwurx_celery.cluster.connection import refusal
from fixwurx_celery.cluster.ends import ENDS
from fixwurx_celery.domain.bugs import TERMINAL, BugState, Outcome
from fixwurx_celery.domain.clocks import Phase, RunClocks
from fixwurx_celery.errors import BugUnknown, LineFull, StoreUnavailable
from fixwurx_celery.store import BugRecord
from fixwurx_celery.store.records import Event

__all__ = ["Following"]

LOOK_AGAIN_S: Final = 5.0
"""However quiet the event log is, the records themselves are looked at this often."""
LISTEN_EVERY_S: Final = 1.0
LISTEN_TO: Final = 100
"""Bugs, those that have run longest, of which is known when they last printed something."""
EVENTS_WAIT_MS: Final = 200
STORE_AWAY_S: Final = 120.0
LIVE_IDS: Final = 100_000


@dataclass(slots=True)
class Following:
    """Takes the bugs to their ends. One thread; `step` is called until `is_over`."""

    connection: Connection
    artifacts: Artifacts
    results: Results
    progress: Progress
    view: RunView
    on_line: Callable[[Mapping[str, Any]], None]
    is_own_cluster: bool
    open: dict[str, Item] = field(default_factory=dict)
    ended: list[Item] = field(default_factory=list)
    withdrawn: list[Item] = field(default_factory=list)
    failures: int = 0
    _after: str = "0-0"
    _looked_at: float = 0.0
    _listened_at: float = 0.0
    _away_since: float | None = None
    _is_admitting: bool = True

    # -- handing over ----------------------------------------------------------------------

    def begin(self, packed: Sequence[Packed]) -> None:
        """Hands all of them over. What the cluster has of them already is taken up, not doubled."""
        store = self.connection.store
        self._after = store.last_event_id()
        known = {record.id: record for record in store.bugs([each.bug.id for each in packed])}
        items = []
        for each in packed:
            bug = each.kept(self.artifacts.put)
            record = known.get(bug.id)
            if record is not None and not is_same(record, bug):
                # The id stands for another question there; this one gets a name of its own.
                bug = replace(bug, id=other_id(each))
            items.append(Item(packed=each, bug=bug))
        self.open = {item.bug.id: item for item in items}
        records = {record.id: record for record in store.bugs(list(self.open))}
        if self.is_own_cluster:
            self._cancel_strangers()
        for item in items:
            record = records.get(item.bug.id)
            item.logs_before = 0 if record else self.results.attempts_logged(item.id)
            if record is None:
                continue
            item.is_submitted = True
            if record.state not in TERMINAL:
                self._see_live(record)
            elif not is_answer(record):
                _, assignments = store.retry(record.id)
                self.connection.ring(assignments)
        self._submit()

    def _cancel_strangers(self) -> None:
        """What an interrupted run left, and this one does not ask for, must not take its agents."""
        ids = [bug for bug in self.connection.store.bug_ids(LIVE_IDS) if bug not in self.open]
        for record in self.connection.store.bugs(ids):
            if record.state not in TERMINAL:
                self._cancel(record.id)

    def _submit(self) -> None:
        waiting = [item for item in self.open.values() if not item.is_submitted]
        if not waiting or not self._is_admitting:
            return
        submissions = self.connection.submit([item.bug for item in waiting])
        for item, submission in zip(waiting, submissions, strict=True):
            error = refusal(item.bug, submission)
            item.is_submitted = error is None
            if error is not None and not isinstance(error, LineFull):
                raise error

    # -- following -------------------------------------------------------------------------

    def is_over(self) -> bool:
        """Whether every bug has ended or was withdrawn."""
        return not self.open

    def step(self) -> None:
        """Waits a moment for news and acts on it. Rides out a store that is away for a while."""
        try:
            self._look()
        except StoreUnavailable as error:
            now = time.monotonic()
            if self._away_since is None:
                self._away_since = now
                self.progress.note(f"the store is away, waiting for it: {error}")
            elif now - self._away_since > STORE_AWAY_S:
                raise
            time.sleep(0.2)
        else:
            if self._away_since is not None:
                self.progress.note("the store is back")
                self._away_since, self._looked_at = None, 0.0
        self.view.done, self.view.fixed = len(self.ended), len(self.ended) - self.failures
        self.progress.show(self.view)

    def _look(self) -> None:
        store = self.connection.store
        events = store.events(self._after, wait_ms=EVENTS_WAIT_MS)
        if events:
            self._after = events[-1].id
        over = [event.bug for event in events if self._see(event)]
        if any(event.action == "node_registered" for event in events):
            self.view.ready_nodes = store.snapshot(most_nodes=0).live_nodes
        now = time.monotonic()
        if now - self._looked_at > LOOK_AGAIN_S:
            self._looked_at = now
            self._submit()
            over = list(self.open)
            self.view.ready_nodes = store.snapshot(most_nodes=0).live_nodes
        looked_at = dict.fromkeys(over)
        records = store.bugs(list(looked_at))
        for bug_id in looked_at.keys() - {record.id for record in records}:
            self._lose(bug_id)
        for record in records:
            if record.id not in self.open:
                continue
            if record.state in TERMINAL:
                self._end(self.open[record.id], record)
            else:
                self._see_live(record)
        if now - self._listened_at > LISTEN_EVERY_S:
            self._listened_at = now
            self._listen(now)

    def _listen(self, now: float) -> None:
        """Finds out when the bugs that run last printed something, and since when others wait."""
        running = self.view.running
        oldest = sorted(running, key=lambda bug_id: running[bug_id].began)[:LISTEN_TO]
        for seen in self.connection.store.running(oldest):
            bug = running[seen.bug]
            bug.printed = now - seen.silent_ms / 1000
            if not bug.is_seen_from_its_start:  # then it began when the store says
                bug.began = now - seen.ran_ms / 1000
                bug.clocks = self._clocks(self.open[seen.bug], bug.began)
                bug.clocks.enter(seen.phase, now - seen.clock_ms / 1000)
                bug.phase, bug.is_seen_from_its_start = seen.phase, True
        waiting = (item.waits_since for bug_id, item in self.open.items() if bug_id not in running)
        self.view.waiting_since = min(waiting, default=None)

    def _see(self, event: Event) -> bool:
        """Takes the event in; whether its bug has come to an end."""
        if event.action in SCALING and self.is_own_cluster:
            self.progress.note(scaling_words(event))
        if event.bug not in self.open:
            return False
        item = self.open[event.bug]
        match event.action:
            case "bug_started":
                self.view.running[event.bug] = self._view(item, event.node)
            case "bug_phase" if event.bug in self.view.running:
                bug = self.view.running[event.bug]
                bug.phase = event.detail
                bug.clocks.enter(event.detail, time.monotonic())
            case "bug_given_back":
                self.view.running.pop(event.bug, None)
                item.waits_since = time.monotonic()
                if self._is_admitting:
                    self.progress.note(f"{item.id} goes back in line: {event.detail}")
        return event.action in ENDS

    def _see_live(self, record: BugRecord) -> None:
        if record.state is BugState.RUNNING and record.id not in self.view.running:
            bug = self._view(self.open[record.id], record.worker_id or "")
            bug.phase, bug.is_seen_from_its_start = record.phase, False
            self.view.running[record.id] = bug
            self._listened_at = 0.0
        elif record.state is not BugState.RUNNING:
            self.view.running.pop(record.id, None)

    def _view(self, item: Item, node: str) -> BugView:
        now = time.monotonic()
        return BugView(item.id, node, Phase.TRIAGE, now, self._clocks(item, now))

    def _clocks(self, item: Item, began: float) -> RunClocks:
        return RunClocks(item.bug.timeout_s, item.bug.limits, began)

    def _lose(self, bug_id: str) -> None:
        """The store does not know the bug (any more): one that failed over loses its last moments.
        It is handed over again with the next look, and its source with it."""
        item = self.open[bug_id]
        if not item.is_submitted:
            return
        item.is_submitted, self._looked_at = False, 0.0
        self.view.running.pop(bug_id, None)
        if not self._is_admitting:
            self.withdrawn.append(self.open.pop(bug_id))
            return
        item.packed.kept(self.artifacts.put)
        self.progress.note(f"{item.id} was lost by the store, and is submitted again")

    def _end(self, item: Item, record: BugRecord) -> None:
        """Writes down how it ended: logs first, then the patch, then the line that counts."""
        del self.open[record.id]
        self.view.running.pop(record.id, None)
        if record.state is BugState.CANCELLED and not record.started_ms:
            item.is_withdrawn = True
            self.withdrawn.append(item)
            return
        for run in range(1, record.runs + 1):
            text = self.connection.store.log(record.id, run)
            if text:
                self.results.write_log(item.id, item.logs_before + run, text)
        patch = self._patch(record.outcome)
        item.line = line_of(item, record, patch)
        self.results.record(item.line, patch)
        self.ended.append(item)
        if item.line["outcome"] not in (Outcome.FIXED, NO_VERDICT):
            self.failures += 1
        self.progress.ended(item.line)
        self.on_line(item.line)

    def _patch(self, outcome: Any) -> str | None:
        if not isinstance(outcome, Mapping) or outcome.get("outcome") != Outcome.FIXED:
            return None
        if outcome.get("patch_artifact"):
            return self.artifacts.get(str(outcome["patch_artifact"])).decode()
        return str(outcome["patch"]) if outcome.get("patch") else None

    # -- stopping --------------------------------------------------------------------------

    def stop_admitting(self) -> None:
        """Withdraws what has not begun; what runs goes on to its end."""
        if not self._is_admitting:
            return
        self._is_admitting = False
        self._withdraw(self.open.keys() - self.view.running.keys())

    def cancel_all(self) -> None:
        """Withdraws what waits and cancels what runs; the ends follow by events."""
        self._is_admitting = False
        self._withdraw(list(self.open))

    def _withdraw(self, bug_ids: Iterable[str]) -> None:
        for bug_id in list(bug_ids):
            if self.open[bug_id].is_submitted:
                self._cancel(bug_id)
            else:
                self.withdrawn.append(self.open.pop(bug_id))
        self._looked_at = 0.0

    def _cancel(self, bug_id: str) -> None:
        try:
            _, assignments = self.connection.store.cancel(bug_id)
        except BugUnknown:
            return
        self.connection.ring(assignments)
