"""What the store answers, as values; and how those are read from its replies."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from fixwurx_celery.domain.bugs import TERMINAL, Assignment, BugState
from fixwurx_celery.domain.clocks import BugClock, clock_of
from fixwurx_celery.domain.nodes import (
    BalancingStrategy,
    LaunchStage,
    NodeSpec,
    WorkerNode,
    WorkerState,
)

__all__ = [
    "Beat",
    "BugRecord",
    "Event",
    "Happening",
    "Launch",
    "Progress",
    "Running",
    "Snapshot",
    "Started",
    "Submission",
    "Sweep",
    "assignments",
    "bug_of",
    "bug_record",
    "launch",
    "running",
    "snapshot",
]


STAGES: Final = {str(stage): stage for stage in LaunchStage}
STATES: Final = {str(state): state for state in BugState}

COUNTED: Final = {
    BugClock.WAITING: "waited_ms",
    BugClock.SETUP: "setup_ms",
    BugClock.RUN: "run_ms",
    BugClock.VERIFY: "verify_ms",
}
"""Each clock with the field in which the record has it."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What became of one bug: `status` ASSIGNED (detail: node), PENDING, KNOWN (its state), or
    refused as FULL (the bound), CLASSES (the bound) or UNSATISFIABLE (the largest node's agents).
    """

    bug_id: str
    status: str
    detail: str

    @property
    def is_refused(self) -> bool:
        """Whether the bug was not taken."""
        return self.status in ("FULL", "CLASSES", "UNSATISFIABLE")


@dataclass(frozen=True, slots=True)
class Started:
    """A run that may begin: what was submitted, where an earlier run got to, and how long the bug
    waited for this one."""

    spec: Mapping[str, Any]
    checkpoint: Any
    run: int
    waited_ms: int


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the event log. `id` orders it and resumes after it."""

    id: str
    action: str
    bug: str
    node: str
    epoch: str
    detail: str

    @property
    def at_ms(self) -> int:
        """When, by the store's clock."""
        return int(self.id.partition("-")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class BugRecord:
    """A bug as the store knows it. Times in ms since 1970 by the store's clock, or None; `counted`
    is what each clock has counted, without the present stay; `ran_on` has the node of each run."""

    id: str
    state: BugState
    bug_class: str
    worker_id: str | None
    epoch: int
    attempts: int
    losses: int
    runs: int
    ran_on: Sequence[str]
    phase: str
    cancelling: bool
    priority: int
    waiting_ms: int | None
    assigned_ms: int | None
    started_ms: int | None
    since_ms: int | None
    printed_ms: int | None
    finished_ms: int | None
    counted: Mapping[BugClock, int]
    outcome: Any
    history: Sequence[Mapping[str, Any]]
    spec: Mapping[str, Any]

    def clocks(self, now_ms: int) -> dict[BugClock, int]:
        """What each clock shows at that time, in ms: all stays since it was submitted or retried,
        with the present one. None runs for an ended bug, nor for a reservation."""
        shown = dict(self.counted)
        if self.state is BugState.RUNNING:
            clock, since_ms = clock_of(self.phase), self.since_ms
        else:
            clock, since_ms = BugClock.WAITING, self.waiting_ms
        if since_ms is not None and self.state not in TERMINAL:
            shown[clock] += max(0, now_ms - since_ms)
        return shown

    def silent_ms(self, now_ms: int) -> int | None:
        """How long ago a bug that runs printed something, or started; None when it does not run."""
        if self.state is not BugState.RUNNING or self.started_ms is None:
            return None
        return max(0, now_ms - max(self.started_ms, self.printed_ms or 0))

    def as_dict(self, now_ms: int) -> dict[str, Any]:
        """The stable keys of `bug list --json`, and the rest, as they are at that time."""
        clocks = self.clocks(now_ms)
        return {
            "id": self.id,
            "state": str(self.state),
            "worker_id": self.worker_id,
            "epoch": self.epoch,
            "attempts": self.attempts,
            "losses": self.losses,
            "runs": self.runs,
            "ran_on": list(self.ran_on),
            "phase": self.phase,
            "outcome": self.outcome,
            "class": self.bug_class,
            "priority": self.priority,
            "waiting_ms": self.waiting_ms,
            "assigned_ms": self.assigned_ms,
            "started_ms": self.started_ms,
            "printed_ms": self.printed_ms,
            "finished_ms": self.finished_ms,
            "waited_ms": clocks[BugClock.WAITING],
            "setup_ms": clocks[BugClock.SETUP],
            "run_ms": clocks[BugClock.RUN],
            "verify_ms": clocks[BugClock.VERIFY],
            "history": list(self.history),
        }


class Running(NamedTuple):
    """How far a bug is that runs: for how long it has, on its present clock without a break, and
    without printing anything."""

    bug: str
    node: str
    phase: str
    run: int
    ran_ms: int
    clock_ms: int
    silent_ms: int


class Launch(NamedTuple):
    """A node that was launched, as the controllers know it. `since_ms` is when it came to its
    stage, `at_ms` when it was launched."""

    node: str
    name: str
    profile: str
    scope: str
    stage: LaunchStage
    term: int
    at_ms: int
    since_ms: int


class Progress(NamedTuple):
    """How far a bug is that a node holds. `since_ms` is when it started there; of one that has not
    started, when it was given to the node."""

    state: BugState
    phase: str
    since_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The cluster at one instant. `progress` is by bug, and empty unless it was asked for."""

    now_ms: int
    strategy: BalancingStrategy
    nodes: Sequence[WorkerNode]
    lines: Sequence[Mapping[str, Any]]
    stats: Mapping[str, int]
    live_nodes: int
    delayed: int
    finished: int
    launches: Mapping[str, Launch]
    progress: Mapping[str, Progress] = field(default_factory=dict)

    @classmethod
    def of_nothing(cls, strategy: BalancingStrategy) -> "Snapshot":
        """A cluster that is not there: no node, no bug."""
        return cls(
            now_ms=0, strategy=strategy, nodes=(), lines=(), stats={}, live_nodes=0, delayed=0,
            finished=0, launches={},
        )  # fmt: skip

    @property
    def waiting(self) -> int:
        """Bugs in line or backing off."""
        return self.delayed + sum(int(line["waiting"]) for line in self.lines)

    @property
    def live(self) -> Sequence[WorkerNode]:
        """The nodes in service."""
        return [node for node in self.nodes if node.state is not WorkerState.OFFLINE]

    @property
    def with_starting(self) -> Sequence[WorkerNode]:
        """The nodes by name, with those that were launched and have not registered."""
        known = {node.worker_id: node for node in self.nodes}
        for one in self.launches.values():
            found = known.get(one.node)
            if one.stage is LaunchStage.STARTING and (
                found is None or found.state is WorkerState.OFFLINE
            ):
                spec = NodeSpec.of_profile(one.profile)
                known[one.node] = WorkerNode(
                    worker_id=one.node,
                    state=WorkerState.STARTING,
                    total_agents=spec.agents,
                    free_agents=0,
                    capabilities=spec.capabilities,
                    last_heartbeat=one.at_ms / 1000,
                )
        return sorted(known.values(), key=lambda node: node.worker_id)

    def stage_of(self, worker_id: str) -> str:
        """How far a node is that a controller launched; empty for others."""
        found = self.launches.get(worker_id)
        return found.stage.lower() if found else ""

    @property
    def total_agents(self) -> int:
        """Agents of the nodes in service."""
        return sum(node.total_agents for node in self.live)

    @property
    def free_agents(self) -> int:
        """Agents that no bug holds, of the nodes in service."""
        return sum(node.free_agents for node in self.live)


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat tells the node: how many bugs were given to it that it did not start, since
    it last started one; and what to ring."""

    unstarted: int
    assignments: list[Assignment]


class Happening(NamedTuple):
    """An event as the script tells it that wrote it."""

    action: str
    bug: str
    node: str
    epoch: str
    detail: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep found and did, and asks of its caller: to delete these nodes' queues, and to
    ring."""

    live_nodes: int
    gone: list[str]
    queues: list[str]
    happened: list[Happening]
    assignments: list[Assignment]


def assignments(flat: Sequence[str]) -> list[Assignment]:
    """The assignments that a script lists as node, bug, epoch, node, ..."""
    return [Assignment(flat[i], flat[i + 1], int(flat[i + 2])) for i in range(0, len(flat), 3)]


def bug_of(seat: str) -> str:
    """The bug that has this seat in a line: 16 digits of order and a colon come before its id."""
    return seat[17:]


def bug_record(bug_id: str, fields: Mapping[str, str]) -> BugRecord:
    """The bug whose record's fields these are."""

    def number(name: str) -> int | None:
        return int(fields[name]) if fields.get(name) else None

    spec = json.loads(fields.get("spec") or "{}")
    return BugRecord(
        id=bug_id,
        state=BugState(fields["state"]),
        bug_class=fields["class"],
        worker_id=fields.get("node") or None,
        epoch=number("epoch") or 0,
        attempts=number("attempts") or 0,
        losses=number("losses") or 0,
        runs=number("runs") or 0,
        ran_on=fields["ran_on"].split("\n") if fields.get("ran_on") else [],
        phase=fields.get("phase", "WAIT"),
        cancelling="cancelling" in fields,
        priority=int(fields.get("priority", spec.get("priority", 0))),
        waiting_ms=number("waiting_ms"),
        assigned_ms=number("assigned_ms"),
        started_ms=number("started_ms"),
        since_ms=number("since_ms"),
        printed_ms=number("printed_ms"),
        finished_ms=number("finished_ms"),
        counted={clock: number(field) or 0 for clock, field in COUNTED.items()},
        outcome=json.loads(fields["outcome"]) if "outcome" in fields else None,
        history=json.loads(fields.get("history") or "[]"),
        spec=spec,
    )


def running(bug_id: str, now_ms: int, fields: Mapping[str, str | None]) -> Running:
    """How far the bug is whose record has these fields, and which runs."""

    def ms_since(name: str) -> int:
        return max(0, now_ms - int(fields[name] or 0))

    ran_ms = ms_since("started_ms")
    return Running(
        bug_id,
        fields["node"] or "",
        fields["phase"] or "",
        int(fields["runs"] or 0),
        ran_ms,
        min(ran_ms, ms_since("since_ms")),
        min(ran_ms, ms_since("printed_ms")),
    )


def snapshot(seen: Mapping[str, Any]) -> Snapshot:
    """The snapshot that the script's JSON document says. Lua writes an empty list as `{}`."""
    return Snapshot(
        now_ms=int(seen["now_ms"]),
        strategy=BalancingStrategy(seen["strategy"]),
        nodes=[_node(entry) for entry in seen["nodes"] or []],
        lines=list(seen["lines"] or []),
        stats={key: int(value) for key, value in seen["stats"].items()},
        live_nodes=int(seen["live_nodes"]),
        delayed=int(seen["delayed"]),
        finished=int(seen["finished"]),
        launches={
            node: launch(node, json.loads(text)) for node, text in (seen["launches"] or {}).items()
        },
        progress={
            bug: Progress(STATES[state], phase or "WAIT", int(since_ms) if since_ms else None)
            for entry in seen["nodes"] or []
            for bug, (state, phase, since_ms) in (entry.get("progress") or {}).items()
        },
    )


def launch(node: str, told: Mapping[str, Any]) -> Launch:
    """The launch that the store has for this node."""
    return Launch(
        node,
        told["name"],
        told["profile"],
        told["scope"],
        STAGES[told["stage"]],
        int(told["term"]),
        int(told["at_ms"]),
        int(told["since_ms"]),
    )


def _node(entry: Mapping[str, Any]) -> WorkerNode:
    spec = NodeSpec.of_profile(entry["profile"])
    free = int(entry["free"])
    facts = json.loads(entry.get("facts") or "{}")
    state = WorkerState(entry["state"])
    if state is WorkerState.READY and free == 0:
        state = WorkerState.BUSY
    return WorkerNode(
        worker_id=entry["worker_id"],
        hostname=facts.get("hostname", ""),
        state=state,
        total_agents=spec.agents,
        free_agents=free,
        capabilities=spec.capabilities,
        cpu_cores=facts.get("cpu_cores", 0),
        memory_mb=facts.get("memory_mb", 0),
        last_heartbeat=int(entry["heartbeat_ms"]) / 1000,
        health=float(entry["health"]),
        response_time_ms=float(entry["response_s"]) * 1000,
        last_used=int(entry["used"]),
        incarnation=entry["incarnation"],
        bugs={bug: int(agents) for bug, agents in (entry["held"] or {}).items()},
        metrics={
            **json.loads(entry.get("load") or "{}"),
            **json.loads(entry.get("told") or "{}"),
        },
        unstarted=int(entry.get("deaf") or 0),
    )
