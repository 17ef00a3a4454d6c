"""The run under way, as its runner knows it."""

import json
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Final

from fixwurx_celery.domain.clocks import Phase, RunClocks
from fixwurx_celery.tracing import NOBODY_TRACES, RunSpan
from fixwurx_celery.worker.engine_pipe import End

__all__ = ["REPORT_EVERY_S", "Run"]

REPORT_EVERY_S: Final = 1.0
GRACE_S: Final = 1.0
"""What an engine that is ended has for the rest of its tick and its `cancel`: a tick should take
about a second. Moved, the bug is asked for by the store only after five."""


@dataclass(slots=True)
class Run:
    """What its engine said, and what of that the store was told."""

    bug_id: str
    epoch: int
    token: str
    clocks: RunClocks
    told: str = Phase.TRIAGE  # by `start`
    checkpoint: str = ""
    has_news: bool = False
    is_waiting: bool = False  # its engine, for the store to be told
    is_alone: bool = False  # the store did not answer when it was last told something
    log: bytearray = field(default_factory=bytearray)
    began_at: float = 0.0
    reported_at: float = 0.0
    seen_going_at: float = 0.0
    heeds: frozenset[str] = frozenset()  # the ends of which its engine wants to know
    ending: End | None = None  # of which it knows
    ends_at: float = 0.0
    outcome: Any = None
    ended: End | None = None
    clean: bool = False
    span: RunSpan = NOBODY_TRACES

    def is_over(self) -> bool:
        """Whether nothing more is expected of the engine."""
        return self.ended is not None

    def is_report_due(self, now: float) -> bool:
        """Whether the store should hear of it."""
        return self.has_news or now - self.reported_at >= REPORT_EVERY_S

    def wakes_at(self) -> float:
        """When something is to be done, if its engine says nothing."""
        if self.ending is not None:
            return self.ends_at
        return min(self.reported_at + REPORT_EVERY_S, self.clocks.deadline)

    def end_within_grace(self, end: End, now: float) -> None:
        """Its engine is told so."""
        self.ending, self.ends_at = end, now + GRACE_S

    def hear(self, connection: Connection, now: float) -> None:
        """Takes in what the engine's process has said. Its end means that it died, unless it had
        said that it was done: kept waiting for long, it goes home."""
        try:
            while not self.is_over() and connection.poll():
                self._take(json.loads(connection.recv_bytes()), now)
        except (EOFError, OSError):
            self.ended = self.ended or self.ending or End.DIED

    def _take(self, message: dict[str, Any], now: float) -> None:
        if "heeds" in message:
            self.heeds = frozenset(message["heeds"])
        if "phase" in message:
            self.clocks.enter(message["phase"], now)
            self.span.phase(message["phase"])
            self.has_news = self.has_news or message["phase"] != self.told
        if message.get("checkpoint"):
            self.checkpoint, self.has_news = message["checkpoint"], True
        if message.get("waits"):
            self.has_news = self.is_waiting = True
        if "stopped" in message:
            self.ended = self.ending
        if "done" in message:
            self.outcome = message["done"]
            # An answer that was just found when the bug was to be moved is an answer.
            is_answer = self.ending in (None, End.MOVED)
            self.ended = End.DONE if is_answer else self.ending
            self.clean = message["clean"] and self.ending is None
