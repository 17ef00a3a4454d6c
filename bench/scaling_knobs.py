"""The scaling policy with one setting moved at a time: what the defaults were chosen by."""

import os
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from bench.figures import Report
from bench.scaling import MOST, SEEDS, SPEC
from fixwurx_celery.domain.scaling import ScalingPolicy
from fixwurx_celery.simulation import TRACES, Setup, make_trace, simulate
from fixwurx_celery.simulation.bounds import no_wait_bound_s
from fixwurx_celery.simulation.comparison import Run
from fixwurx_celery.simulation.scalers import PolicyScaler
from fixwurx_celery.simulation.workloads import RANDOM_TRACES

__all__ = ["measure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One setting, all others at their defaults."""

    name: str
    policy: Mapping[str, Any] = field(default_factory=dict)
    interval_s: float = 30.0
    boot_s: float = 60.0


KNOBS: Final = (
    Knob(name="defaults"),
    *(Knob(name=f"target {value}", policy={"target": value}) for value in (0.7, 0.85, 0.9, 1.0)),
    *(
        Knob(name=f"threshold {value}", policy={"scale_down_threshold": value})
        for value in (0.0, 0.5, 0.7, 0.95)
    ),
    *(
        Knob(name=f"window {value} s", policy={"window_s": value})
        for value in (0, 30, 120, 300, 600)
    ),
    *(Knob(name=f"interval {value} s", interval_s=value) for value in (5, 10, 60)),
    *(
        Knob(
            name=f"boot {boot} s, window {value} s", policy={"window_s": value}, boot_s=float(boot)
        )
        for boot in (5, 180)
        for value in (30, 60, 180, 300)
    ),
)


def measure(*, quick: bool = False) -> Report:
    """Takes about four minutes on two cores; ten seconds when quick."""
    names = ("constant", "square") if quick else tuple(TRACES)
    tasks = [
        (name, seed)
        for name in names
        for seed in (SEEDS if name in RANDOM_TRACES and not quick else SEEDS[:1])
    ]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = list(pool.map(runs_of, *zip(*tasks, strict=True)))
    report = Report(
        name="scaling_knobs",
        title="Scaling, one setting moved at a time",
        command="python -m bench scaling_knobs",
        setup={
            "value": "node-hours over the bound without waiting, median over the traces",
            "defaults": "target 0.8, threshold 0.3, window 60 s, interval 30 s; boot 60 s",
        },
    )
    for i, knob in enumerate(KNOBS):
        of_trace = {
            name: [runs[i] for (of, _), runs in zip(tasks, found, strict=True) if of == name]
            for name in names
        }
        add(report, knob, of_trace)
    return report


def runs_of(name: str, seed: int) -> list[tuple[float, Run]]:
    """For each knob, node-hours over the bound, and the run."""
    trace = make_trace(name, seed)
    found = []
    for knob in KNOBS:
        policy = ScalingPolicy(specs=[SPEC], min_workers=1, max_workers=MOST, **knob.policy)
        setup = Setup(prices={SPEC: 1.0}, boot_s=(knob.boot_s, knob.boot_s))
        run = Run.of(simulate(trace, PolicyScaler(policy, trace.arrivals, knob.interval_s), setup))
        bound = no_wait_bound_s(trace, SPEC, knob.boot_s) / 3600
        found.append((run.node_hours / bound, run))
    return found


def add(report: Report, knob: Knob, of_trace: Mapping[str, Sequence[tuple[float, Run]]]) -> None:
    """A row: the median over the traces of the medians over the seeds, and each trace's own."""
    rows = {
        name: {
            "ratio": statistics.median(ratio for ratio, _ in some),
            "wait_p95_s": statistics.median(run.wait_p95_s for _, run in some),
            "wait_p99_s": statistics.median(run.wait_p99_s for _, run in some),
            "changes": statistics.median(run.changes for _, run in some),
        }
        for name, some in of_trace.items()
    }
    report.add(
        knob.name,
        statistics.median(row["ratio"] for row in rows.values()),
        "×",
        note="; ".join(
            f"{name} {row['ratio']:.2f}, p95 {row['wait_p95_s']:.0f} s, p99 "
            f"{row['wait_p99_s']:.0f} s, {row['changes']:.0f} changes"
            for name, row in rows.items()
        ),
    )
    report.rounds.append({"knob": knob.name, "traces": rows})
