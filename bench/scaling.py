"""The scaling policy against others, simulated: node-hours at the same waiting, and how it rests.

Nothing here depends on the machine but the time of one decision, which is measured last.
"""

import os
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from bench.figures import Report
from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.domain.scaling import ClusterView, Demand, ScalingPolicy, Supply, decide
from fixwurx_celery.simulation import TRACES, Outcome, Setup, Trace, make_trace, simulate
from fixwurx_celery.simulation.comparison import (
    Bounds,
    Match,
    Point,
    Run,
    bounds_of,
    matches,
    point_of,
)
from fixwurx_celery.simulation.options import OURS, options
from fixwurx_celery.simulation.scalers import PolicyScaler
from fixwurx_celery.simulation.workloads import RANDOM_TRACES

__all__ = ["measure"]

SPEC: Final = NodeSpec(agents=9, capabilities=frozenset({"python"}))
BOOT_S: Final = 60.0
SETUP: Final = Setup(prices={SPEC: 1.0}, boot_s=(BOOT_S, BOOT_S))
MOST: Final = 60
SEEDS: Final = (1, 2, 3, 4, 5)
SHORT_S: Final = 120.0
"""Where bugs wait for no more than this, the queue is a guest; beyond, it is how work is kept."""
FLANK_S: Final = 3600


def measure(*, quick: bool = False) -> Report:
    """Takes about ten minutes on two cores; half a minute when quick."""
    names = ("constant", "square") if quick else tuple(TRACES)
    seeds = SEEDS[:1] if quick else SEEDS
    report = Report(
        name="scaling",
        title="Scaling, simulated",
        command="python -m bench scaling",
        setup={
            "nodes": "9 agents, 60 s to start, at most 60",
            "bugs": "3 agents, 6 minutes on average",
            "seeds": f"{len(seeds)} for each random trace, medians",
        },
    )
    found = {name: compare(name, seeds) for name in names}
    for name, (bounds, points) in found.items():
        report.rounds.append(
            {
                "trace": name,
                "work_bound": bounds.work,
                "no_wait_bound": bounds.no_wait,
                "points": [one.as_dict() for one in points],
            }
        )
    add_rest(report)
    add_comparison(report, {name: matches(points) for name, (_, points) in found.items()})
    add_bounds(report, found)
    everyone = [one for _, points in found.values() for one in points if one.scaler == OURS]
    report.add(
        "busy nodes stopped by a scale-in",
        sum(one.busy_stopped for one in everyone),
        "nodes",
        at_most=0,
        note=f"of {sum(one.scaled_in for one in everyone)} that were scaled in",
    )
    add_cost(report)
    return report


def compare(name: str, seeds: Sequence[int]) -> tuple[Bounds, list[Point]]:
    """The bounds of the trace, and the point of every setting."""
    used = [seed for seed in seeds if name in RANDOM_TRACES] or [1]
    traces = [make_trace(name, seed) for seed in used]
    with ProcessPoolExecutor(min(len(used), len(os.sched_getaffinity(0)))) as pool:
        runs = list(pool.map(runs_of, [name] * len(used), used, [used] * len(used)))
    points = [
        point_of(option, [of_seed[i] for of_seed in runs])
        for i, option in enumerate(options(traces, SPEC, MOST))
    ]
    return bounds_of(traces, SPEC, BOOT_S), points


def runs_of(name: str, seed: int, seeds: Sequence[int]) -> list[Run]:
    """Every setting on the trace of one seed, the settings being those for all seeds."""
    trace = make_trace(name, seed)
    settings = options([make_trace(name, one) for one in seeds], SPEC, MOST)
    return [Run.of(simulate(trace, option.make(trace), SETUP)) for option in settings]


def with_defaults(trace: Trace) -> Outcome:
    """The trace under our defaults."""
    policy = ScalingPolicy(specs=[SPEC], min_workers=1, max_workers=MOST)
    return simulate(trace, PolicyScaler(policy, trace.arrivals), SETUP)


def add_rest(report: Report) -> None:
    """Whether the fleet comes to rest."""
    constant = with_defaults(make_trace("constant"))
    hours = [
        sum(start <= change.at_s < start + 3600 for change in constant.changes)
        for start in range(1800, 5 * 3600, 3600)
    ]
    report.add(
        "constant load: most changes in an hour, after half an hour",
        max(hours),
        "changes",
        at_most=1,
        note=f"{sum(change.at_s < 1800 for change in constant.changes)} while it came to be",
    )
    square = with_defaults(make_trace("square"))
    flanks = [
        sum(start <= change.at_s < start + FLANK_S for change in square.changes)
        for start in range(FLANK_S, 8 * FLANK_S, FLANK_S)
    ]
    report.add(
        "square wave: most changes after a flank",
        max(flanks),
        "changes",
        at_most=2,
        note=f"up and down in turn: {', '.join(map(str, flanks))}; one tick is one change, "
        "however many nodes",
    )


def add_comparison(report: Report, found: Mapping[str, Sequence[Match]]) -> None:
    """Node-hours at the same waiting, over theirs."""
    scalers = list(dict.fromkeys(one.theirs.scaler for pairs in found.values() for one in pairs))
    for scaler in scalers:
        by_trace = {
            name: [one for one in pairs if one.theirs.scaler == scaler]
            for name, pairs in found.items()
        }
        worst = max(
            (one for pairs in by_trace.values() for one in pairs), key=lambda one: one.ratio
        )
        of_trace = {
            name: statistics.median(one.ratio for one in pairs) for name, pairs in by_trace.items()
        }
        listed = ", ".join(f"{name} {ratio:.2f}" for name, ratio in of_trace.items())
        bar = 0.8 if scaler.startswith(("HPA", "KEDA")) else 1.0
        report.add(
            f"node-hours against {scaler}, median trace",
            statistics.median(of_trace.values()),
            "×",
            at_most=bar,
            note=f"medians over their settings: {listed}",
        )
        short = {
            name: [one.ratio for one in pairs if one.theirs.wait_p95_s <= SHORT_S]
            for name, pairs in by_trace.items()
        }
        if medians := {name: statistics.median(some) for name, some in short.items() if some}:
            report.add(
                f"… where their p95 waiting is at most {SHORT_S:g} s",
                statistics.median(medians.values()),
                "×",
                note=", ".join(f"{name} {ratio:.2f}" for name, ratio in medians.items()),
            )
        at = next(name for name, pairs in by_trace.items() if worst in pairs)
        losses = sum(one.ratio > 1 for pairs in by_trace.values() for one in pairs)
        report.add(
            "… at its best against us, over all traces and its settings",
            worst.ratio,
            "×",
            at_most=1,
            note=f"{at}, {worst.theirs.knobs}, p95 {worst.theirs.wait_p95_s:g} s; we need more at "
            f"{losses} of {sum(map(len, by_trace.values()))} points",
        )


def add_bounds(report: Report, found: Mapping[str, tuple[Bounds, Sequence[Point]]]) -> None:
    """How near our defaults come to knowing everything beforehand."""
    ratios, waits = {}, {}
    for name, (bounds, points) in found.items():
        ours = next(one for one in points if one.scaler == OURS and one.is_default)
        ratios[name] = ours.node_hours / bounds.no_wait
        waits[name] = ours.wait_p95_s
    report.add(
        "our defaults against the bound without waiting, median trace",
        statistics.median(ratios.values()),
        "×",
        at_most=1.3,
        note=", ".join(
            f"{name} {ratio:.2f} (p95 {waits[name]:.0f} s)" for name, ratio in ratios.items()
        ),
    )


def add_cost(report: Report) -> None:
    """The time of one decision for the largest cluster."""
    view = largest_view()
    policy = ScalingPolicy(specs=[SPEC], max_workers=50_000)
    took = []
    for _ in range(11):
        began = time.process_time()
        decide(view, policy)
        took.append(1000 * (time.process_time() - began))
    report.add(
        "one decision",
        statistics.median(took),
        "ms of the processor",
        at_most=50,
        note="10 000 nodes in 200 distinct supplies, 1 000 000 bugs of 256 classes waiting",
    )


def largest_view() -> ClusterView:
    """10 000 nodes that differ in 200 ways, and a million bugs that differ in 256."""
    labels = [frozenset({"python", f"l{i}"}) for i in range(20)]
    return ClusterView(
        supply=[
            Supply(spec=NodeSpec(agents=9, capabilities=labels[i % 20]), free=i // 20, count=50)
            for i in range(200)
        ],
        demand=[
            Demand(
                agents=1 + i % 9,
                requires=frozenset({f"l{i % 20}"}) if i % 3 else frozenset(),
                waiting=1_000_000 // 256,
                run_s=200.0 + i,
            )
            for i in range(256)
        ],
        boot_s=BOOT_S,
    )
