"""(k) What the seam costs an engine: a tick, a new phase, and the time from a cancel to silence.

The first in one process and in processor time: the loop that a node runs around an engine, against
the bare loop over its two methods, with engines that do next to nothing. The rest on a real node.
What is cancelled there has started a process of its own; silence is when both are gone.
"""

import dataclasses
import json
import os
import random
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from enum import Enum, auto
from multiprocessing import Pipe
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.figures import Report, median, percentile
from bench.store_server import private_store
from bench.workers import Workers, await_that
from fixwurx_celery.cluster import ClusterResourceManager, Connection
from fixwurx_celery.domain.bugs import Bug
from fixwurx_celery.engine.adapter import EngineAdapter
from fixwurx_celery.engine.base import EngineBug
from fixwurx_celery.processes import is_running
from fixwurx_celery.settings import Settings
from fixwurx_celery.worker.engine_host import run_engine
from fixwurx_celery.worker.engine_pipe import Keeper

__all__ = ["engine_under_cancel", "measure", "phases"]


class Phase(Enum):
    """Two, to go to and fro between."""

    ANALYZE = auto()
    PATCH = auto()
    DONE = auto()


@dataclasses.dataclass(frozen=True)
class TrackedBug:
    """As FixWurx's engine keeps it."""

    id: str
    phase: Phase
    timer: int


class Bare:
    """The two methods."""

    def __init__(self, ticks: int) -> None:
        self.left = ticks

    def execute_tick(self) -> None:
        """Counts."""
        self.left -= 1

    def all_done(self) -> bool:
        """Whether it has counted down."""
        return self.left <= 0


class Tracked(Bare):
    """With a bug that is replaced at every tick."""

    def __init__(self, ticks: int) -> None:
        super().__init__(ticks)
        self.bugs = [TrackedBug("b-1", Phase.PATCH, 0)]

    def execute_tick(self) -> None:
        """Counts in its bug, too."""
        super().execute_tick()
        self.bugs[0] = dataclasses.replace(self.bugs[0], timer=self.left)


class Asynchronous(Bare):
    """Whose tick is a coroutine."""

    async def execute_tick(self) -> None:  # type: ignore[override]
        """Counts."""
        self.left -= 1


class Phases(Tracked):
    """Another phase at every tick."""

    def execute_tick(self) -> None:
        """Goes to and fro."""
        super().execute_tick()
        following = (Phase.ANALYZE, Phase.PATCH)[self.left % 2]
        self.bugs[0] = dataclasses.replace(self.bugs[0], phase=following)


class Timed(Phases):
    """Says how long it took."""

    def __init__(self, ticks: int) -> None:
        super().__init__(ticks)
        self._began = time.monotonic()

    @property
    def outcome(self) -> dict[str, Any]:
        """Seconds since it was made."""
        return {"outcome": "FIXED", "seconds": time.monotonic() - self._began}


class Endless:
    """Ticks of `tick_s` without end, beside a process of its own. Where its processes are named is
    in the file `pids`."""

    def __init__(self, bug: EngineBug) -> None:
        self._payload: Any = bug.payload
        self._is_named = False

    def execute_tick(self) -> None:
        """One tick, or what never ends."""
        if not self._is_named:
            child = subprocess.Popen(["sleep", "600"], start_new_session=True)
            Path(self._payload["pids"]).write_text(json.dumps([os.getpid(), child.pid]))
            self._is_named = True
        if self._payload["tick_s"] is None:
            signal.pause()
        time.sleep(self._payload["tick_s"])

    def all_done(self) -> bool:
        """Never."""
        return False


class Cancellable(Endless):
    """Wants to know of its end."""

    def cancel(self) -> None:
        """Has nothing to do."""


def engine_under_cancel(bug: EngineBug) -> Endless:
    """The factory: FIXWURX_ENGINE=bench.engine_seam:engine_under_cancel."""
    return Cancellable(bug) if bug.payload["has_cancel"] else Endless(bug)


def phases(bug: EngineBug) -> Timed:
    """The factory: FIXWURX_ENGINE=bench.engine_seam:phases."""
    return Timed(int(str(bug.payload["ticks"])))


def measure(*, quick: bool = False) -> Report:
    """Takes about four minutes; half a minute when quick."""
    report = Report("engine_seam", "The seam of engines", "python -m bench engine_seam")
    ticks(report, count=20_000 if quick else 200_000, rounds=2 if quick else 7)
    with private_store(append_only=True) as server, Workers() as workers:
        report.setup = {"store": server.version, "append-only file": "everysec"}
        new_phases(report, server.url(), workers, count=200 if quick else 2000)
        cancels(report, server.url(), workers, rounds=2 if quick else 30)
    return report


def ticks(report: Report, *, count: int, rounds: int) -> None:
    """A tick in the node's loop, against the bare loop."""
    made: dict[str, Callable[[int], Any]] = {
        "two methods": Bare,
        "a bug that is replaced": Tracked,
    }
    for name, make in made.items():
        ours, bare = [], []
        for _ in range(rounds):
            bare.append(bare_s(make(count)) / count)
            ours.append(node_s(make(count)) / count)
            report.rounds.append({"engine": name, "bare_s": bare[-1], "node_s": ours[-1]})
        added = median(node - plain for node, plain in zip(ours, bare, strict=True))
        both = f"{median(ours) * 1e6:.2f} in the node's loop, {median(bare) * 1e6:.2f} bare"
        report.add(f"added to a tick, {name}", added * 1e6, "µs", at_most=10, note=both)
    count //= 10
    coroutine = median(node_s(Asynchronous(count)) / count for _ in range(rounds))
    report.add("a tick that is a coroutine, all in all", coroutine * 1e6, "µs")


def bare_s(engine: Any) -> float:
    """The processor time that the engine takes by itself."""
    began = time.process_time()
    while not engine.all_done():
        engine.execute_tick()
    return time.process_time() - began


def node_s(engine: Any) -> float:
    """The same as a node runs it, its runner being silent."""
    runner, host = Pipe()
    adapter = EngineAdapter(engine, "b-1")
    began = time.process_time()
    run_engine(adapter, Keeper(host))
    took_s = time.process_time() - began
    adapter.close()
    runner.close()
    host.close()
    return took_s


class Node:
    """One node with this engine, and a client's way to it."""

    def __init__(self, workers: Workers, url: str, engine: str) -> None:
        self._workers, self._name = workers, f"n-{uuid.uuid4().hex[:6]}"
        settings = {
            "FIXWURX_ENGINE": f"bench.engine_seam:{engine}",
            "FIXWURX_NAMESPACE": self._name,
        }
        workers.start_node(self._name, url, 1, **{"namespace": self._name, **settings})
        self.connection = Connection(
            Settings.from_environment({"FIXWURX_REDIS_URL": url, **settings})
        )
        self.manager = ClusterResourceManager(connection=self.connection)
        await_that("the node serves", lambda: self.connection.store.snapshot().live, within_s=60)

    def __enter__(self) -> "Node":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self._workers.stop(self._name)

    def put(self, **payload: Any) -> Any:
        """A handle of a bug that runs here."""
        return self.manager.enqueue(
            Bug(id=f"b-{uuid.uuid4().hex[:12]}", agents=1, payload=payload, timeout_s=600)
        )


def new_phases(report: Report, url: str, workers: Workers, *, count: int) -> None:
    """What an engine waits for the store to know of its new phase and position."""
    with Node(workers, url, "phases") as node:
        took_s = node.put(ticks=count).wait(timeout=300)["seconds"]
    report.add("a new phase, told to the store", took_s / count * 1e3, "ms",
               note=f"mean of {count} in a row, in which the engine does nothing else")  # fmt: skip


CASES: dict[str, dict[str, Any]] = {
    "without cancel()": {"has_cancel": False, "tick_s": 0.01},
    "with cancel(), ticks of 10 ms": {"has_cancel": True, "tick_s": 0.01},
    "with cancel(), ticks of 0.5 s": {"has_cancel": True, "tick_s": 0.5},
    "with cancel(), its tick hangs": {"has_cancel": True, "tick_s": None},
}


def cancels(report: Report, url: str, workers: Workers, *, rounds: int) -> None:
    """From a cancel until the engine's process and what it started are gone."""
    rng = random.Random(7)
    with Node(workers, url, "engine_under_cancel") as node, TemporaryDirectory() as folder:
        for name, payload in CASES.items():
            took = [
                cancel_s(node, Path(folder) / uuid.uuid4().hex, rng.random(), payload)
                for _ in range(rounds)
            ]
            report.rounds.append({"cancel": name, "seconds": took})
            report.add(f"cancel to silence, {name}: p50", median(took), "s",
                       note=f"{rounds} cancels at random moments; min {min(took):.2f}, "
                       f"p90 {percentile(took, 0.9):.2f}, max {max(took):.2f}")  # fmt: skip


def cancel_s(node: Node, pids: Path, after_s: float, payload: dict[str, Any]) -> float:
    """How long one took."""
    handle = node.put(pids=str(pids), **payload)
    await_that("it runs", lambda: pids.exists() and pids.read_text(), within_s=60)
    mine = json.loads(pids.read_text())
    time.sleep(after_s)  # so that cancels fall anywhere between two reports
    began = time.monotonic()
    handle.cancel()
    while any(is_running(pid) for pid in mine):
        if time.monotonic() - began > 60:
            raise TimeoutError("what was cancelled still runs after a minute")
        time.sleep(0.001)
    took_s = time.monotonic() - began
    handle.wait(timeout=60)
    return took_s
