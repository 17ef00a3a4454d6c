"""What must be true afterwards: by the records, by the event log, by the runs' own traces."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fixwurx_celery.store import ClusterStore, Event
from fixwurx_celery.store.event_log import whole_log
from fixwurx_celery.store.history import check
from fixwurx_celery.store.invariants import violations
from tests.chaos.nemesis import Freeze
from tests.chaos.work import Task

__all__ = [
    "Finding",
    "Overlaps",
    "check_history",
    "check_outcomes",
    "check_overlaps",
    "check_store",
]

STALE_WITHIN_S = 3.0
"""How long after its thaw a run may need to learn that its bug is somebody else's: it reports every
second, and this machine may be busy."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and the bug that it is about (or '')."""

    text: str
    bug: str = ""


def check_outcomes(
    store: ClusterStore, tasks: Sequence[Task], cancelled: Mapping[str, str], max_attempts: int
) -> list[Finding]:
    """Each bug is there, and ended as it had to."""
    records = {record.id: record for record in store.bugs([task.bug.id for task in tasks])}
    found = []
    for task in tasks:
        record = records.get(task.bug.id)
        if record is None:
            found.append(Finding(f"{task.bug.id} was taken, and is absent", task.bug.id))
            continue
        wrong = task.verdict(record, max_attempts, cancelled.get(task.bug.id))
        if wrong:
            found.append(Finding(f"{task.bug.id} {wrong}; {record}", task.bug.id))
    return found


def check_store(store: ClusterStore, patience_s: float = 5) -> list[Finding]:
    """The invariants, on the live cluster."""
    return [Finding(line) for line in violations(store, most=200_000, patience_s=patience_s)]


def check_history(store: ClusterStore) -> list[Finding]:
    """What the event log proves: no bug lost or ended twice, no two runs of one at any instant, no
    node over-committed, every accepted outcome the newest run's."""
    return [Finding(line, _bug_named_in(line)) for line in check(whole_log(store))]


def _bug_named_in(line: str) -> str:
    found = re.match(r"bug (\S+):", line)
    return found.group(1) if found else ""


def _overlaps_in(lines: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The first sight of each other run, with how long that one is known to have gone on."""
    seen = set()
    for line in lines:
        if line["what"] == "overlap" and (line["run"], line["holder"]) not in seen:
            seen.add((line["run"], line["holder"]))
            signs = [o["at"] for o in lines if line["holder"] in (o["run"], o.get("holder"))]
            yield {**line, "at_least_s": round(max(signs) - line["at"], 3)}


@dataclass(slots=True)
class Overlaps:
    """Two live processes of one bug: with a frozen one, which cannot be avoided, and others."""

    frozen: int = 0
    runs: int = 0
    findings: list[Finding] = field(default_factory=list)


def check_overlaps(trace: Path, freezes: Sequence[Freeze]) -> Overlaps:
    """What the runs themselves saw of each other."""
    seen = Overlaps()
    for file in sorted(trace.glob("*.jsonl")):
        lines = trace_of(trace, file.stem)
        seen.runs += sum(line["what"] == "start" for line in lines)
        for line in _overlaps_in(lines):
            if "T" in line["states"] or any(
                freeze.pid in line["pids"]
                and freeze.since < line["at"] < freeze.until + STALE_WITHIN_S
                for freeze in freezes
            ):
                seen.frozen += 1
            else:
                text = f"{file.stem}: two live runs, neither frozen: {line}"
                seen.findings.append(Finding(text, file.stem))
    return seen


def trace_of(trace: Path, bug_id: str) -> list[dict[str, Any]]:
    """What the runs of the bug wrote."""
    file = trace / f"{bug_id}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def events_of(store: ClusterStore, bug_id: str) -> list[Event]:
    """The bug's events."""
    return [event for event in whole_log(store) if event.bug == bug_id]
