"""The cluster at one instant, as monitoring shows it: sums, nodes up to a bound, and tallies.

What is tallied only rises, also when bugs expire or are retried, until the store itself is emptied.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from fixwurx_celery.domain.nodes import BalancingStrategy, NodeSpec, WorkerState

__all__ = ["SCALE_MS", "Duration", "Line", "Measurement", "NodeReading", "ScalingBounds"]

SCALE_MS: Final = (
    *(5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000),
    *(120_000, 300_000, 600_000, 1_800_000, 3_600_000, 10_800_000, 43_200_000),
)
"""The bounds of the buckets in which durations are counted, as lua/lib/2_clocks.lua has them."""


class NodeReading(NamedTuple):
    """A node in service. `silent_ms` is how long ago its last heartbeat came."""

    worker_id: str
    state: WorkerState
    agents: int
    free: int
    bugs: int
    health: float
    response_s: float
    silent_ms: int


class Line(NamedTuple):
    """The bugs of one class that wait in line, and how long ago the oldest of them began to."""

    bug_class: str
    waiting: int
    oldest_ms: int


class Duration(NamedTuple):
    """How often something took how long: `counts` by the bounds of SCALE_MS, and beyond them."""

    counts: Sequence[int]
    sum_ms: int


class ScalingBounds(NamedTuple):
    """What the last scaling decision wanted, and between what."""

    wanted: int
    min_workers: int
    max_workers: int
    interval_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one look at the store tells.

    `agents` and `free` are of all nodes in service, and so are `states`; `nodes` has the first of
    them by name. `silent_ms` is that of the node which was heard longest ago. Times of ticks and of
    the decision are ages in ms, None where there was none.
    """

    now_ms: int
    strategy: BalancingStrategy
    agents: int
    free: int
    states: Mapping[WorkerState, int]
    ejected: int
    silent_ms: int | None
    nodes: Sequence[NodeReading]
    lines: Sequence[Line]
    assigned: int
    on_runs: int
    delayed: int
    kept: int
    stages: Mapping[str, int]
    provider_failures: int
    health_check_age_ms: int | None
    scaling_tick_age_ms: int | None
    scaling: ScalingBounds | None
    used_memory: int
    max_memory: int
    tallied: Mapping[str, int]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Measurement":
        """The one that the script's JSON document says. Lua writes an empty list as `{}`."""
        now_ms = int(told["now_ms"])

        def age_ms(at_ms: str | None) -> int | None:
            return None if at_ms is None else max(0, now_ms - int(at_ms))

        decision = json.loads(told["decision"]) if "decision" in told else None
        # The key of a tick expires; the decision that it made does not.
        scaled_ms = told.get("scaled_ms") or told.get("decided_ms")
        return cls(
            now_ms=now_ms,
            strategy=BalancingStrategy(told["strategy"]),
            agents=int(told["agents"]),
            free=int(told["free"]),
            states={WorkerState(state): int(count) for state, count in told["states"].items()},
            ejected=int(told["ejected"]),
            silent_ms=int(told["silent_ms"]) if "silent_ms" in told else None,
            nodes=[_node(one, now_ms) for one in told["nodes"] or ()],
            lines=[
                Line(bug_class, int(waiting), max(0, now_ms - int(since_ms)))
                for bug_class, waiting, since_ms in told["lines"] or ()
            ],
            assigned=int(told["assigned"]),
            on_runs=int(told["on_runs"]),
            delayed=int(told["delayed"]),
            kept=int(told["kept"]),
            stages=told["stages"] or {},
            provider_failures=int(told["failures"]),
            health_check_age_ms=age_ms(told.get("checked_ms")),
            scaling_tick_age_ms=age_ms(scaled_ms),
            scaling=_bounds(decision) if decision and "policy" in decision else None,
            used_memory=int(told["used_memory"]),
            max_memory=int(told["maxmemory"]),
            tallied={what: int(count) for what, count in (told["tallied"] or {}).items()},
        )

    @property
    def waiting(self) -> int:
        """Bugs in line or backing off."""
        return self.delayed + sum(line.waiting for line in self.lines)

    @property
    def open_bugs(self) -> int:
        """Bugs that were taken and have not ended."""
        return self.waiting + self.assigned + self.on_runs

    @property
    def live_nodes(self) -> int:
        """Nodes in service."""
        return sum(self.states.values())

    def duration(self, what: str) -> Duration:
        """What was tallied of that: `wait`, `answer` or `run`."""
        buckets = [*map(str, SCALE_MS), "more"]
        return Duration(
            [self.tallied.get(f"{what}:{bucket}", 0) for bucket in buckets],
            self.tallied.get(f"{what}:sum", 0),
        )


def _node(told: Sequence[Any], now_ms: int) -> NodeReading:
    worker_id, state, profile, free, bugs, health, response_s, heard_ms = told
    is_full = state == WorkerState.READY and free == "0"
    return NodeReading(
        worker_id,
        WorkerState.BUSY if is_full else WorkerState(state),
        NodeSpec.of_profile(profile).agents,
        int(free),
        int(bugs),
        float(health),
        float(response_s),
        max(0, now_ms - int(heard_ms)),
    )


def _bounds(decision: Mapping[str, Any]) -> ScalingBounds:
    policy = decision["policy"]
    return ScalingBounds(
        int(decision["wanted"]),
        int(policy["min_workers"]),
        int(policy["max_workers"]),
        float(decision["interval_s"]),
    )
