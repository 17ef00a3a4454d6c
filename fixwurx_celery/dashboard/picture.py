"""What viewers get: the picture in parts, each with a version, so that only what changed travels.

The parts are made of text from engines, nodes and users. They are JSON, and the page writes none of
it as HTML.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from fixwurx_celery.dashboard.reader import Reading, Tick
from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.domain.nodes import BalancingStrategy, WorkerNode, WorkerState
from fixwurx_celery.store import BugRecord, Snapshot

__all__ = ["Part", "Picture", "picture_of"]

MOST_TEXT: Final = 400
"""Letters of a reason or verdict that are shown; the rest is in the log, or in `bug show`."""
MOST_CHANGES: Final = 60
"""Scaling decisions in the table: those that started or stopped nodes."""


@dataclass(frozen=True, slots=True)
class Part:
    """JSON, and what tells it from any other."""

    version: str
    body: bytes

    @classmethod
    def of(cls, name: str, value: Any) -> "Part":
        """The part of this name with this content. Two that are both empty are told apart."""
        body = json.dumps(value, separators=(",", ":")).encode()
        return cls(blake2b(body, digest_size=8, person=name.encode()).hexdigest(), body)


@dataclass(frozen=True, slots=True)
class Picture:
    """All parts by name, as they were at `now_ms` by the store's clock."""

    now_ms: int
    parts: Mapping[str, Part]


def picture_of(reading: Reading) -> Picture:
    """The picture of what was read. Heartbeats are a part of their own: they change every second
    on a cluster where nothing happens."""
    snapshot = reading.snapshot
    nodes = snapshot.with_starting
    parts = {
        "totals": _totals(snapshot),
        "nodes": [_node(node, snapshot) for node in nodes],
        "heartbeats": {node.worker_id: round(node.last_heartbeat * 1000) for node in nodes},
        "lines": _lines(snapshot),
        "ended": [_ended(record) for record in reading.ended],
        "scaling": _scaling(reading.ticks),
    }
    return Picture(snapshot.now_ms, {name: Part.of(name, value) for name, value in parts.items()})


def _totals(snapshot: Snapshot) -> Mapping[str, Any]:
    live = snapshot.live
    taking = [node for node in live if node.state in (WorkerState.READY, WorkerState.BUSY)]
    return {
        "nodes": len(live),
        "taking": len(taking),
        "capacity": sum(node.total_agents for node in taking),
        "held": sum(node.total_agents - node.free_agents for node in taking),
        "agents": snapshot.total_agents,
        "free": snapshot.free_agents,
        "on_nodes": sum(len(node.bugs) for node in live),
        "not_started": sum(one.state is BugState.ASSIGNED for one in snapshot.progress.values()),
        "waiting": snapshot.waiting,
        "kept": snapshot.finished,
        "ended": {
            state: snapshot.stats.get(state, 0) for state in ("DONE", "ESCALATED", "CANCELLED")
        },
        "strategy": str(snapshot.strategy),
        "strategies": [[str(one), one.takes] for one in BalancingStrategy],
    }


def _node(node: WorkerNode, snapshot: Snapshot) -> Mapping[str, Any]:
    bugs = []
    for bug, agents in sorted(node.bugs.items()):
        progress = snapshot.progress.get(bug)
        bugs.append(
            [bug, agents, str(progress.state), progress.phase, progress.since_ms]
            if progress
            else [bug, agents, "", "", None]
        )
    return {
        "id": node.worker_id,
        "host": node.hostname,
        "cores": node.cpu_cores,
        "memory_mb": node.memory_mb,
        "state": str(node.state),
        "stage": snapshot.stage_of(node.worker_id),
        "agents": node.total_agents,
        "free": node.free_agents,
        "labels": sorted(node.capabilities),
        "health": round(node.health, 2),
        "response_ms": round(node.response_time_ms),
        "unstarted": node.unstarted,
        "bugs": bugs,
    }


def _lines(snapshot: Snapshot) -> Mapping[str, Any]:
    lines = [
        {
            "class": str(line["class"]),
            "waiting": int(line["waiting"]),
            "head": str(line["head"]),
            "since_ms": int(line["head_since_ms"]) if line.get("head_since_ms") else None,
        }
        for line in snapshot.lines
    ]
    return {
        "lines": sorted(lines, key=lambda line: (-line["waiting"], line["class"])),
        "delayed": snapshot.delayed,
    }


def _ended(record: BugRecord) -> Mapping[str, Any]:
    outcome = record.outcome if isinstance(record.outcome, Mapping) else {}
    verdict, detail = _verdict(record.outcome)
    took_ms = None
    if record.started_ms is not None and record.finished_ms is not None:
        took_ms = record.finished_ms - record.started_ms
    return {
        "id": record.id,
        "state": str(record.state),
        "verdict": _cut(verdict),
        "detail": _cut(detail),
        "node": record.worker_id or _last_node(record),
        "runs": record.runs,
        "deaths": record.attempts + record.losses,
        "took_ms": took_ms,
        "at_ms": record.finished_ms,
        "patch": bool(outcome.get("patch") or outcome.get("patch_artifact")),
    }


def _last_node(record: BugRecord) -> str:
    """Of one that ended without a node: where its last run came to grief."""
    return str(record.history[-1].get("node") or "") if record.history else ""


def _verdict(outcome: Any) -> tuple[str, str]:
    """The verdict and what there is to say about it, of an outcome of any shape."""
    if not isinstance(outcome, Mapping) or "outcome" not in outcome:
        return "", "" if outcome is None else json.dumps(outcome, ensure_ascii=False)
    return str(outcome["outcome"]), str(outcome.get("edit") or outcome.get("reason") or "")


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"


def _scaling(ticks: Sequence[Tick]) -> Mapping[str, Any]:
    changes = [tick for tick in ticks if tick.action != "hold"][-MOST_CHANGES:]
    return {
        "ticks": [
            [tick.at_ms, tick.capacity, tick.held, tick.waiting, tick.nodes, tick.wanted]
            for tick in ticks
        ],
        "changes": [_decision(tick) for tick in reversed(changes)],
        "last": _decision(ticks[-1]) if ticks else None,
    }


def _decision(tick: Tick) -> Mapping[str, Any]:
    return {
        "id": tick.id,
        "at_ms": tick.at_ms,
        "action": tick.action,
        "nodes": tick.nodes,
        "wanted": tick.wanted,
        "reason": _cut(tick.reason),
        "trouble": _cut(tick.trouble),
    }
