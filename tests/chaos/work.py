"""Bugs with known answers: what each may end as, whatever happens on the way."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fixwurx_celery.domain.bugs import Bug, BugState
from fixwurx_celery.store import BugRecord
from tests.chaos.engine import digest_of

__all__ = ["ENGINE", "Task", "make_tasks"]

ENGINE = "tests.chaos.engine:Chain"
HANGS_FOR_S = 4.0

MANNERS: Mapping[str, int] = {
    "plain": 58, "long": 10, "stubborn": 12, "daemon": 4, "crash": 12, "raise": 2, "hang": 2,
}  # fmt: skip
"""Of a hundred bugs, how many are of each manner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One bug, when it is submitted, and when somebody cancels it (None: nobody does)."""

    bug: Bug
    manner: str
    submit_at_s: float
    cancel_at_s: float | None = None

    def verdict(self, record: BugRecord, max_attempts: int, cancelled: str | None) -> str:
        """What is wrong with how the bug ended, or nothing. `cancelled` is what its cancelling
        answered: from CANCELLED on it must not run, after CANCELLING it may still end by itself."""
        outcome = record.outcome if isinstance(record.outcome, dict) else {}
        name = outcome.get("outcome")
        if record.state is BugState.CANCELLED:
            asked = cancelled in ("CANCELLED", "CANCELLING")
            return "" if asked and name == "CANCELLED" else "was CANCELLED, which nobody asked for"
        if cancelled == "CANCELLED":
            return f"is {record.state}, though its cancelling was answered with CANCELLED"
        wanted = self._wanted(record, max_attempts)
        found = (record.state, name, outcome.get("digest"))
        return "" if found == wanted else f"ended as {found}, not as {wanted}"

    def _wanted(self, record: BugRecord, max_attempts: int) -> tuple[BugState, str, str | None]:
        match self.manner:
            case "raise":
                return BugState.ESCALATED, "ERROR", None
            case "hang":
                return BugState.ESCALATED, "TIMED_OUT", None
            case "doomed":
                charged = [entry for entry in record.history if entry["charge"] == "attempts"]
                if record.attempts != max_attempts or len(charged) != max_attempts:
                    return BugState.ESCALATED, f"with a history of {max_attempts} attempts", None
                return BugState.ESCALATED, "ERROR", None
        return BugState.DONE, "FIXED", digest_of(self.bug.id, self.bug.payload["steps"])


def make_tasks(rng: random.Random, count: int, seconds: float, trace: Path) -> Sequence[Task]:
    """So many tasks: a fifth at once, the others in waves over the first two thirds of the time."""
    tasks: list[Task] = []
    while len(tasks) < count:
        at = rng.uniform(0, 0.7 * seconds) if tasks else 0.0
        wave = min(count - len(tasks), rng.choice([1, 1, 2, 5, 12]) if tasks else count // 5)
        for _ in range(wave):
            number = len(tasks)
            # Two of them can never succeed, in every run.
            manner = "doomed" if number in (3, 11) else _pick(rng, MANNERS)
            tasks.append(_task(rng, f"c{number:04}", manner, at, trace))
    return sorted(tasks, key=lambda task: task.submit_at_s)


def _task(rng: random.Random, name: str, manner: str, at: float, trace: Path) -> Task:
    steps = rng.randint(3, 9)
    payload: dict[str, Any] = {
        "trace": str(trace),
        "steps": steps,
        "pace_s": rng.choice([0, 0.1, 0.3, 0.6, 1.0]),
        "manner": "crash" if manner == "doomed" else manner,
        "at_step": rng.randrange(steps),
    }
    timeout_s, limits, cancel_at_s = 300.0, dict[str, float](), None
    match manner:
        case "long":
            payload.update(steps=rng.randint(8, 14), pace_s=1.2)
        case "crash":
            payload.update(crashes=rng.randint(1, 2), by_signal=rng.random() < 0.5)
        case "doomed":
            payload.update(crashes=1_000_000, by_signal=False)
        case "hang":
            timeout_s = HANGS_FOR_S + payload["at_step"] * payload["pace_s"]
            limits = {"setup": HANGS_FOR_S}  # before its first step it is in TRIAGE
    if manner not in ("doomed", "hang") and rng.random() < 0.08:
        cancel_at_s = at + rng.uniform(0, 6)
    bug = Bug(
        id=f"{name}-{manner}",
        agents=rng.choice([1, 1, 1, 1, 2, 3]),
        priority=rng.choice([0, 0, 0, 5]),
        timeout_s=timeout_s,
        limits=limits,
        payload=payload,
    )
    return Task(bug=bug, manner=manner, submit_at_s=at, cancel_at_s=cancel_at_s)


def _pick(rng: random.Random, weights: Mapping[str, int]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]
