"""(d) 120 heavy-tailed bugs on nodes of 1, 2 and 4 slots: how near the makespan comes to the best.

The lower bound is what no schedule can beat: all work spread evenly over the seven slots, or the
longest bug. Bugs sleep their time; that is the workload here, the machine being only the hand-over.
"""

import heapq
import random
import time
import uuid
from collections.abc import Sequence

from bench.figures import Report, median
from bench.store_server import private_store
from bench.workers import Workers, await_that
from fixwurx_celery.cluster.cluster_resource_manager import ClusterResourceManager
from fixwurx_celery.cluster.connection import Connection
from fixwurx_celery.cluster.handle import as_completed
from fixwurx_celery.domain.bugs import Bug
from fixwurx_celery.domain.nodes import BalancingStrategy
from fixwurx_celery.settings import Settings

__all__ = ["durations", "list_schedule", "lower_bound", "measure"]

SLOTS = (1, 2, 4)
BUGS = 120
PARETO_SHAPE = 1.2
SEED = 252
"""A set whose longest bug takes 0.82 of the lower bound. When handing over costs nothing it reaches
0.77 of the bound in arrival order, on average over all orders, and 0.99 longest first."""
TYPICAL = 0.77


def durations(makespan_s: float) -> list[float]:
    """Pareto-distributed seconds with `makespan_s` as their lower bound; always the same."""
    rng = random.Random(SEED)
    raw = [rng.paretovariate(PARETO_SHAPE) for _ in range(BUGS)]
    scale = makespan_s / lower_bound(raw)
    return [value * scale for value in raw]


def lower_bound(seconds: Sequence[float]) -> float:
    """No schedule on these slots is shorter."""
    return max(max(seconds), sum(seconds) / sum(SLOTS))


def list_schedule(seconds: Sequence[float]) -> float:
    """The makespan when each slot that frees takes the next in order, at no cost."""
    slots = [0.0] * sum(SLOTS)
    for value in seconds:
        heapq.heappush(slots, heapq.heappop(slots) + value)
    return max(slots)


def measure(*, quick: bool = False) -> Report:
    """Takes about two minutes; ten seconds when quick."""
    strategies = [BalancingStrategy.WEIGHTED_CAPACITY] if quick else list(BalancingStrategy)
    seconds = durations(3.0 if quick else 10.0)
    bound = lower_bound(seconds)
    report = Report(
        "heavy_tail",
        "Heavy-tailed bugs on nodes of 1, 2 and 4 slots",
        "python -m bench heavy_tail",
    )
    with private_store(append_only=True) as server, Workers() as workers:
        report.setup = {
            "store": server.version,
            "bugs": BUGS,
            "lower bound": f"{bound:.1f} s",
            "longest bug": f"{max(seconds):.1f} s, median {median(seconds):.2f} s",
        }
        for slots in SLOTS:
            workers.start_node(f"node{slots}", server.url(), slots)
        with Connection(Settings(redis_url=server.url(), namespace="bench")) as connection:
            store = connection.store
            await_that(
                "nodes ready",
                lambda: store.snapshot(most_nodes=0).live_nodes == len(SLOTS),
                within_s=60,
            )
            makespan(connection, [0.01] * 60, hints=False)  # every process has run its first
            for turn, strategy in enumerate(strategies):
                store.set_strategy(strategy)
                shuffled = typical_order(seconds, random.Random(turn))
                row = {"strategy": str(strategy), "lower_bound_s": round(bound, 3)}
                for hints in (True, False):
                    order = sorted(shuffled, reverse=True) if hints else shuffled
                    took = makespan(connection, shuffled, hints=hints)
                    word = "hints" if hints else "no_hints"
                    row[f"{word}_ratio"] = round(bound / took, 4)
                    row[f"{word}_ideal_ratio"] = round(bound / list_schedule(order), 4)
                report.rounds.append(row)
    for word, words, bar in (
        ("hints", "with expected_seconds", 0.9),
        ("no_hints", "without", 0.73),
    ):
        ratios = [row[f"{word}_ratio"] for row in report.rounds]
        each = ", ".join(f"{row['strategy']} {row[f'{word}_ratio']:.2f}" for row in report.rounds)
        ideal = median(row[f"{word}_ideal_ratio"] for row in report.rounds)
        report.add(
            f"lower bound over makespan, {words}",
            median(ratios),
            "of the bound",
            at_least=bar,
            note=f"{each}; at no cost of hand-over this order gives {ideal:.2f}",
        )
    return report


def typical_order(seconds: Sequence[float], rng: random.Random) -> list[float]:
    """The seconds in an order that is neither lucky nor unlucky, so that a few runs tell."""
    order = list(seconds)
    bound = lower_bound(order)
    for _ in range(10_000):
        rng.shuffle(order)
        if abs(bound / list_schedule(order) - TYPICAL) < 0.01:
            break
    return order


def makespan(connection: Connection, seconds: Sequence[float], *, hints: bool) -> float:
    """Seconds from the first bug's start to the last one's end. All are submitted together."""
    batch = uuid.uuid4().hex[:8]
    bugs = [
        Bug(
            id=f"{batch}-{i}",
            agents=1,
            expected_s=value if hints else None,
            payload={"sleep_s": value},
        )
        for i, value in enumerate(seconds)
    ]
    deadline_s = 3 * sum(seconds) + 30
    began = time.time()
    ClusterResourceManager(connection=connection).enqueue_many(bugs)
    ids = [bug.id for bug in bugs]
    ends = [record.outcome["ended"] for record in as_completed(connection, ids, timeout=deadline_s)]
    if len(ends) != len(bugs):
        raise TimeoutError(f"{len(ends)} of {len(bugs)} bugs had ended after {deadline_s:g} s")
    return float(max(ends)) - began
