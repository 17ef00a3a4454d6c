"""(c) From submit to result on real workers, ours and plain Celery's taking turns on one store.

Each system has two workers of three pool processes: six slots. Ours runs bugs of one agent on nodes
of three, so that as many processes are at work; each of ours runs the bug in yet another process,
which can be killed with all it started, and commits it to the store at start and at end.
"""

import os
import time
import uuid
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from celery import Celery

from bench.figures import Report, median, percentile
from bench.plain import make_plain
from bench.store_server import Store, private_store
from bench.workers import Workers, await_that, cpu_ms, group_pss_mb
from fixwurx_celery.cluster.cluster_resource_manager import ClusterResourceManager
from fixwurx_celery.cluster.connection import Connection
from fixwurx_celery.cluster.handle import as_completed
from fixwurx_celery.domain.bugs import Bug
from fixwurx_celery.settings import Settings

__all__ = ["Ours", "Plain", "System", "measure"]

WORKERS, SLOTS_EACH = 2, 3
GAP_S = 0.05
PAUSE_S = 0.01
START_DEADLINE_S = 60.0
RUN_DEADLINE_S = 120.0

Stamps = dict[str, Any]


class System(ABC):
    """A set of workers, and a client of it."""

    name: str
    workers: Sequence[str]

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether all workers take work."""

    @abstractmethod
    def run(self, count: int, sleep_s: float = 0.0) -> list[Stamps]:
        """Submits so many at once, the way the system offers, and answers when all are back."""

    @abstractmethod
    def round_trip(self) -> tuple[float, float]:
        """One no-op: seconds from submit to its first line, and to its outcome at the client."""

    def throughput(self, count: int, cpu: Callable[[], float]) -> tuple[float, float]:
        """No-ops a second, from before the first is submitted until the last is back; and ms of
        processor time that one took of client, store and workers together."""
        spent, began = cpu(), time.perf_counter()
        self.run(count)
        return count / (time.perf_counter() - began), (cpu() - spent) / count

    def gaps_ms(self, count: int) -> list[float]:
        """How long each slot's process was without work between two jobs, while jobs waited."""
        by_process: dict[int, list[Stamps]] = defaultdict(list)
        for stamps in self.run(count, GAP_S):
            by_process[stamps["pid"]].append(stamps)
        gaps = []
        for jobs in by_process.values():
            jobs.sort(key=lambda job: job["started"])
            gaps += [
                1000 * (after["started"] - before["ended"]) for before, after in pairwise(jobs)
            ]
        return gaps


class Ours(System):
    """Two nodes."""

    def __init__(self, name: str, workers: Workers, server: Store, database: int) -> None:
        self.name = name
        url = server.url(database)
        self.workers = [f"{name}{i}" for i in range(WORKERS)]
        for worker in self.workers:
            workers.start_node(worker, url, SLOTS_EACH)
        self.connection = Connection(Settings(redis_url=url, namespace="bench"))
        self._manager = ClusterResourceManager(connection=self.connection)

    def is_ready(self) -> bool:
        return self.connection.store.snapshot(most_nodes=0).live_nodes == WORKERS

    def _bugs(self, count: int, sleep_s: float) -> list[Bug]:
        batch = uuid.uuid4().hex[:8]
        return [
            Bug(id=f"{batch}-{i}", agents=1, payload={"sleep_s": sleep_s}) for i in range(count)
        ]

    def run(self, count: int, sleep_s: float = 0.0) -> list[Stamps]:
        bugs = self._bugs(count, sleep_s)
        handles = self._manager.enqueue_many(bugs)
        ids = [bug.id for bug in bugs]
        outcomes = [
            record.outcome for record in as_completed(self.connection, ids, timeout=RUN_DEADLINE_S)
        ]
        if len(outcomes) != len(handles):
            raise TimeoutError(f"{self.name}: {len(outcomes)} of {count} in {RUN_DEADLINE_S:g} s")
        return outcomes

    def round_trip(self) -> tuple[float, float]:
        (bug,) = self._bugs(1, 0.0)
        began = time.time()
        outcome = self._manager.enqueue(bug).wait(timeout=RUN_DEADLINE_S)
        return outcome["started"] - began, time.time() - began


class Plain(System):
    """Two plain Celery workers."""

    def __init__(
        self, name: str, workers: Workers, server: Store, database: int, *, reliable: bool
    ) -> None:
        self.name = name
        url = server.url(database)
        self.workers = [f"{name}{i}" for i in range(WORKERS)]
        for worker in self.workers:
            workers.start_plain(worker, url, SLOTS_EACH, reliable=reliable)
        self._app: Celery = make_plain(url, reliable=reliable)
        self._task = self._app.tasks["plain.timed"]

    def is_ready(self) -> bool:
        return len(self._app.control.ping(timeout=1.0, limit=WORKERS)) == WORKERS

    def run(self, count: int, sleep_s: float = 0.0) -> list[Stamps]:
        results = [self._task.apply_async((sleep_s,)) for _ in range(count)]
        return [result.get(timeout=RUN_DEADLINE_S) for result in results]

    def round_trip(self) -> tuple[float, float]:
        began = time.time()
        stamps = self._task.apply_async((0,)).get(timeout=RUN_DEADLINE_S)
        return stamps["started"] - began, time.time() - began


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    rounds: int = 5
    noops: int = 800
    naps: int = 120
    trips: int = 100
    idle_concurrency: int = 9
    settle_s: float = 12.0


QUICK = Size(rounds=1, noops=200, naps=30, trips=20, idle_concurrency=3, settle_s=3.0)


def measure(*, quick: bool = False) -> Report:
    """Takes about two minutes; twenty seconds when quick."""
    size = QUICK if quick else Size()
    report = Report("end_to_end", "End to end, six slots", "python -m bench end_to_end")
    with private_store(append_only=True) as server, Workers() as workers:
        report.setup = {
            "store": server.version,
            "append-only file": "everysec",
            "workers": f"{WORKERS} of {SLOTS_EACH} pool processes for each system, all up at once",
        }
        systems: list[System] = [
            Ours("ours", workers, server, 0),
            Plain("plain", workers, server, 1, reliable=False),
            Plain("reliable", workers, server, 2, reliable=True),
        ]
        for system in systems:
            await_that(f"{system.name} ready", system.is_ready, within_s=START_DEADLINE_S)
        for system in systems:
            system.run(60)  # every process has run its first, and has its connections
            system.run(60)
        for turn in range(size.rounds):
            order = systems[turn % 3 :] + systems[: turn % 3]
            report.rounds.append(_one_round(order, size, workers, server))
        time.sleep(size.settle_s)  # longer than an engine's process outlives its last bug
        used = {
            system.name: sum(group_pss_mb(workers.pids(worker))["pss"] for worker in system.workers)
            / WORKERS
            for system in systems
        }
        workers.stop()
        fresh = _idle_memory(workers, server, size)
        report.rounds.append({"memory_after_work_mb": used, "memory_fresh_mb": fresh})
    _summarise(report, size)
    return report


def _one_round(
    systems: Sequence[System], size: Size, workers: Workers, server: Store
) -> dict[str, dict[str, float]]:
    measured: dict[str, dict[str, float]] = {}
    for system in systems:

        def cpu(system: System = system) -> float:
            below = [pid for worker in system.workers for pid in workers.pids(worker)]
            return cpu_ms([os.getpid(), server.pid, *below])

        rate, cost_ms = system.throughput(size.noops, cpu)
        gaps = system.gaps_ms(size.naps)
        measured[system.name] = {
            "noops_per_s": round(rate, 1),
            "cpu_ms": round(cost_ms, 3),
            "gap_p50_ms": round(median(gaps), 3),
            "gap_mean_ms": round(sum(gaps) / len(gaps), 3),
        }
    trips: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for turn in range(size.trips):
        # Each takes turns with the others, in either order, and after a pause: what the one before
        # still has to clear away is not the next one's.
        for system in systems if turn % 2 else reversed(systems):
            time.sleep(PAUSE_S)
            trips[system.name].append(system.round_trip())
    for name, pairs in trips.items():
        starts, ends = zip(*pairs, strict=True)
        measured[name] |= {
            "start_p50_ms": round(1000 * percentile(starts, 0.5), 3),
            "start_p99_ms": round(1000 * percentile(starts, 0.99), 3),
            "trip_p50_ms": round(1000 * percentile(ends, 0.5), 3),
        }
    return measured


def _idle_memory(workers: Workers, server: Store, size: Size) -> dict[str, float]:
    """MB (PSS) of one worker of each kind, its warden included, that has done nothing yet."""
    count = size.idle_concurrency
    workers.start_node("idle", server.url(3), count)
    store = Connection(Settings(redis_url=server.url(3), namespace="bench")).store
    await_that(
        "idle node ready",
        lambda: store.snapshot(most_nodes=0).live_nodes,
        within_s=START_DEADLINE_S,
    )
    workers.start_plain("idleplain", server.url(4), count, reliable=False)
    app = make_plain(server.url(4))
    await_that(
        "idle plain worker ready",
        lambda: app.control.ping(timeout=1.0, limit=1),
        within_s=START_DEADLINE_S,
    )
    time.sleep(2)
    weighed = {
        name: group_pss_mb(workers.pids(worker))["pss"]
        for name, worker in (("ours", "idle"), ("plain", "idleplain"))
    }
    store.close()
    workers.stop()
    return weighed


def _summarise(report: Report, size: Size) -> None:
    *rounds, memory = report.rounds

    def middle(system: str, key: str) -> float:
        return median(row[system][key] for row in rounds)

    def against(key: str, other: str) -> float:
        return median(row["ours"][key] / row[other][key] for row in rounds)

    def three(key: str) -> str:
        return "; ".join(
            f"{words} {middle(name, key):.3g}"
            for name, words in (
                ("ours", "ours"), ("plain", "plain"), ("reliable", "plain acks_late, prefetch 1")
            )
        )  # fmt: skip

    count = f"{len(rounds)} rounds of {size.noops}"
    report.add("no-op bugs", middle("ours", "noops_per_s"), "bugs/s", note=three("noops_per_s"))
    report.add(
        "no-op bugs/s against plain defaults",
        against("noops_per_s", "plain"),
        "×",
        at_least=1.0,
        note=count,
    )
    report.add("no-op bugs/s against plain reliable", against("noops_per_s", "reliable"), "×")
    report.add(
        "processor time a no-op bug",
        middle("ours", "cpu_ms"),
        "ms",
        note=three("cpu_ms") + "; client, store and workers together",
    )
    report.add("processor time against plain defaults", against("cpu_ms", "plain"), "×")
    report.add(
        "idle gap of a slot, 50 ms bugs", middle("ours", "gap_p50_ms"), "ms p50",
        note=three("gap_p50_ms") + "; means: " + three("gap_mean_ms"),
    )  # fmt: skip
    report.add(
        "idle gap against plain reliable",
        against("gap_p50_ms", "reliable"),
        "×",
        at_most=1.0,
        note=f"{len(rounds)} rounds of {size.naps}",
    )
    report.add("idle gap against plain defaults", against("gap_p50_ms", "plain"), "×")
    report.add(
        "submit to start", middle("ours", "start_p50_ms"), "ms p50", note=three("start_p50_ms")
    )
    report.add(
        "submit to start, p99", middle("ours", "start_p99_ms"), "ms p99", note=three("start_p99_ms")
    )
    report.add(
        "submit to start p50 against plain defaults",
        against("start_p50_ms", "plain"),
        "×",
        at_most=1.3,
        note=f"{len(rounds)} rounds of {size.trips}, one at a time",
    )
    report.add("round trip", middle("ours", "trip_p50_ms"), "ms p50", note=three("trip_p50_ms"))
    for key, words in (
        ("memory_fresh_mb", f"memory of an idle worker, {size.idle_concurrency} processes"),
        ("memory_after_work_mb", f"memory of an idle worker after work, {SLOTS_EACH} processes"),
    ):
        ours, plain = memory[key]["ours"], memory[key]["plain"]
        report.add(
            f"{words}, against plain",
            ours / plain,
            "×",
            at_most=1.15,
            note=f"PSS of all its processes, ours with its warden: {ours:.1f} MB, plain"
            f" {plain:.1f} MB",
        )
