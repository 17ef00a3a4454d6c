"""(j) What one tick of the executor costs an event loop: `tick_all` with ten thousand active bugs.

The scheduler's list is made anew for each tick, as FixWurx's is. The bugs go to a real store, where
they wait: no node takes part in a tick. Threads of the executor hand over and follow beside it.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.figures import Report, median, percentile
from bench.store_server import private_store
from fixwurx_celery.cluster import ClusterResourceManager, Connection
from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.integrations.parallel_executor import ParallelExecutor
from fixwurx_celery.settings import Settings

__all__ = ["measure"]

ENDED = 500


@dataclass(slots=True)
class ListedBug:
    """A bug as FixWurx's scheduler lists it."""

    bug_id: str
    phase: str
    timer: int
    entropy: float


class Listing:
    """A scheduler with so many active bugs."""

    def __init__(self, count: int) -> None:
        self.bugs = {
            f"BUG-{n}": ListedBug(f"BUG-{n}", "TRIAGE", 0, n % 400 / 50) for n in range(count)
        }
        self.complete = 0

    async def get_active_bugs(self) -> list[ListedBug]:
        """A list of its own for each caller."""
        return list(self.bugs.values())

    def mark_bug_complete(self, bug_id: str) -> None:
        """It is active no more."""
        del self.bugs[bug_id]
        self.complete += 1


def measure(*, quick: bool = False) -> Report:
    """Takes about ten seconds."""
    count, ticks = (1_000, 5) if quick else (10_000, 50)
    report = Report("executor", "One tick of the executor", "python -m bench executor")
    with private_store(append_only=False) as server:
        report.setup = {"store": server.version, "active bugs": count}
        with Connection(Settings(redis_url=server.url(), namespace="tick")) as connection:
            asyncio.run(_measure(report, connection, count, ticks))
    return report


async def _measure(report: Report, connection: Connection, count: int, ticks: int) -> None:
    scheduler = Listing(count)
    manager = ClusterResourceManager(connection=connection)
    async with ParallelExecutor(scheduler, manager) as executor:
        handing_over: list[float] = []
        while executor.get_executor_metrics()["in_flight"] < count:
            handing_over.append(await _tick(executor))
            await asyncio.sleep(0.005)
        _add(report, f"{count} new bugs, handed over in {len(handing_over)} ticks", handing_over)

        quiet = [await _tick(executor) for _ in range(ticks)]
        _add(report, f"{count} active bugs, nothing new", quiet)

        changing = []
        for _ in range(ticks):
            for bug in scheduler.bugs.values():
                bug.entropy += 0.02
            changing.append(await _tick(executor))
            await asyncio.sleep(0.05)
        _add(report, f"{count} active bugs, all entropies changed", changing)

        ids = list(scheduler.bugs)[: min(ENDED, count // 2)]
        for bug_id in ids:
            connection.store.cancel(bug_id)
        ending: list[float] = []
        while scheduler.complete < len(ids):
            ending.append(await _tick(executor))
            await asyncio.sleep(0.005)
        _add(report, f"{count} active bugs, {len(ids)} of which end", ending)
        assert connection.store.bug(ids[0]).state is BugState.CANCELLED
    report.rounds = [
        {"tick": name, "ms": round(ms, 2)}
        for name, taken in (
            ("handing over", handing_over),
            ("quiet", quiet),
            ("changing", changing),
            ("ending", ending),
        )
        for ms in taken
    ]


async def _tick(executor: ParallelExecutor) -> float:
    began = time.perf_counter()
    await executor.tick_all()
    return 1000 * (time.perf_counter() - began)


def _add(report: Report, what: str, taken: Sequence[float]) -> None:
    report.add(
        f"{what}: a tick, p95",
        percentile(taken, 0.95),
        "ms",
        at_most=50,
        note=f"p50 {median(taken):.1f} ms, most {max(taken):.1f}",
    )
