"""Scalers side by side, at the same waiting: each one's main knob is swept, ours as well.

One figure alone says little, for every scaler can be made cheaper by letting bugs wait. So each
setting is a point (95th percentile of waiting, node-hours), the medians over the seeds, and a point
of another scaler is held against the cheapest of ours at which bugs wait no longer.
"""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.simulation.bounds import no_wait_bound_s, work_bound_s
from fixwurx_celery.simulation.options import OURS, Option
from fixwurx_celery.simulation.outcome import Outcome
from fixwurx_celery.simulation.trace import Trace

__all__ = ["Bounds", "Match", "Point", "Run", "bounds_of", "matches", "point_of"]

SLACK_S: Final = 0.5
"""Waits that differ by less are the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is kept of one outcome."""

    wait_p95_s: float
    wait_p99_s: float
    node_hours: float
    utilisation: float
    changes: int
    scaled_in: int
    busy_stopped: int
    unserved: int

    @classmethod
    def of(cls, outcome: Outcome) -> "Run":
        """The outcome's figures."""
        return cls(
            wait_p95_s=outcome.waited(0.95),
            wait_p99_s=outcome.waited(0.99),
            node_hours=outcome.node_hours,
            utilisation=outcome.utilisation,
            changes=len(outcome.changes),
            scaled_in=outcome.scaled_in,
            busy_stopped=outcome.busy_stopped,
            unserved=outcome.unserved,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What a setting came to: medians over the runs, and sums of the nodes scaled in, of those that
    were stopped with a bug on them, and of bugs never served."""

    scaler: str
    knobs: str
    is_default: bool
    wait_p95_s: float
    wait_p99_s: float
    node_hours: float
    utilisation: float
    changes: float
    scaled_in: int
    busy_stopped: int
    unserved: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A point of another scaler, and the cheapest of ours at which bugs wait no longer; None where
    they wait longer at all of ours."""

    theirs: Point
    ours: Point | None

    @property
    def ratio(self) -> float:
        """Our node-hours over theirs; infinite without a point of ours."""
        return self.ours.node_hours / self.theirs.node_hours if self.ours else float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Node-hours that nobody goes below: at all, and without any waiting; medians."""

    work: float
    no_wait: float


def bounds_of(traces: Sequence[Trace], spec: NodeSpec, boot_s: float) -> Bounds:
    """The medians of the traces' bounds."""
    return Bounds(
        work=statistics.median(work_bound_s(trace, spec) / 3600 for trace in traces),
        no_wait=statistics.median(no_wait_bound_s(trace, spec, boot_s) / 3600 for trace in traces),
    )


def point_of(option: Option, runs: Sequence[Run]) -> Point:
    """The setting's point."""

    def median(figure: Callable[[Run], float]) -> float:
        return statistics.median(figure(one) for one in runs)

    return Point(
        scaler=option.scaler,
        knobs=option.knobs,
        is_default=option.is_default,
        wait_p95_s=round(median(lambda one: one.wait_p95_s), 1),
        wait_p99_s=round(median(lambda one: one.wait_p99_s), 1),
        node_hours=round(median(lambda one: one.node_hours), 3),
        utilisation=round(median(lambda one: one.utilisation), 4),
        changes=median(lambda one: one.changes),
        scaled_in=sum(one.scaled_in for one in runs),
        busy_stopped=sum(one.busy_stopped for one in runs),
        unserved=sum(one.unserved for one in runs),
    )


def matches(points: Iterable[Point]) -> list[Match]:
    """Every point of another scaler with its counterpart among ours."""
    points = list(points)
    ours = [one for one in points if one.scaler == OURS and not one.unserved]
    return [
        Match(
            theirs=theirs,
            ours=min(
                (one for one in ours if one.wait_p95_s <= theirs.wait_p95_s + SLACK_S),
                key=lambda one: one.node_hours,
                default=None,
            ),
        )
        for theirs in points
        if theirs.scaler != OURS
    ]
