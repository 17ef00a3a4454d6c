"""(e) How soon the bugs of what died run again, with hundreds of others in flight.

A node with three bugs on it is killed, all its processes with SIGKILL, and the time is taken from
the event log, by the store's clock: until the node is known to be lost, and until the last of its
bugs runs elsewhere. Then the same for a pool process, an engine, and a node that freezes.
"""

import os
import signal
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import psutil

from bench.figures import Report, median, percentile
from bench.store_server import private_store
from bench.workers import Workers, await_that
from fixwurx_celery.cluster.connection import Connection
from fixwurx_celery.domain.bugs import Bug, BugState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import BugRecord, ClusterStore, Event

__all__ = ["measure"]

NODES = ("left", "right")
AGENTS, BUGS = 9, 3
AT_WORK = 300
"""Bugs that wait or run beside those that are measured."""
WORKING = {"FIXWURX_ENGINE": "bench.engines:working", "FIXWURX_MAX_LOSSES": "50"}


class Cluster:
    """Two nodes between which measured bugs move, and one that is busy with hundreds of others."""

    def __init__(self, workers: Workers, url: str, **settings: str) -> None:
        self._workers, self._url, self._more = workers, url, {**WORKING, **settings}
        self._connection = Connection(
            Settings.from_environment(
                {"FIXWURX_REDIS_URL": url, "FIXWURX_NAMESPACE": "bench", **self._more}
            )
        )
        self.store: ClusterStore = self._connection.store
        self._start("busy", "work")
        for name in NODES:
            self._start(name, "moves")
        self.await_nodes()

    def close(self) -> None:
        """Closes the client."""
        self._connection.close()

    def _start(self, name: str, label: str) -> None:
        self._workers.start_node(name, self._url, AGENTS, FIXWURX_CAPABILITIES=label, **self._more)

    def id_of(self, name: str) -> str:
        """The worker_id of the live node of that name."""
        ids = [node.worker_id for node in self.store.snapshot().live]
        return next(worker_id for worker_id in ids if worker_id.partition("@")[0] == name)

    def await_nodes(self) -> None:
        """Waits until all three serve."""
        await_that(
            "three nodes serve",
            lambda: sum(str(n.state) in ("READY", "BUSY") for n in self.store.snapshot().live) == 3,
            within_s=60,
        )

    def keep_busy(self) -> None:
        """Fills the line of the third node up to hundreds."""
        waiting = self.store.snapshot(most_nodes=0).waiting
        fresh = [
            Bug(
                id=f"w-{uuid.uuid4().hex[:12]}",
                agents=1,
                requires=frozenset({"work"}),
                payload={"steps": 40},
            )
            for _ in range(max(0, AT_WORK - waiting))
        ]
        self._connection.submit(fresh)

    def put(self, victim: str, steps: int) -> list[str]:
        """Three bugs that run on that node and have checkpoints."""
        other = self.id_of(next(name for name in NODES if name != victim))
        self.store.drain(other, 600)
        bugs = [
            Bug(id=f"m-{uuid.uuid4().hex[:12]}", requires=frozenset({"moves"}),
                payload={"steps": steps}, timeout_s=600)
            for _ in range(BUGS)
        ]  # fmt: skip
        self._connection.submit(bugs)
        ids = [bug.id for bug in bugs]

        def have_checkpoints() -> bool:
            with self.store.reaching():
                kept = [
                    self.store.client.hexists(f"{self.store.prefix}bug:{bug}", "checkpoint")
                    for bug in ids
                ]
            return all(kept)

        await_that("three bugs run, with checkpoints", have_checkpoints, within_s=60)
        self._connection.ring(self.store.resume(other))
        return ids

    def restart(self, name: str) -> None:
        """Starts the node of that name again."""
        self._start(name, "moves")
        self.await_nodes()

    def events_after(self, after: str, ids: Sequence[str], run: int) -> list[Event]:
        """The events up to the one with which the last of these bugs began that run."""
        seen: list[Event] = []
        begun: set[str] = set()

        def all_run() -> bool:
            nonlocal after
            for event in self.store.events(after):
                after = event.id
                seen.append(event)
                if event.action == "bug_started" and event.bug in ids and event.detail == str(run):
                    begun.add(event.bug)
            return len(begun) == len(ids)

        await_that(f"run {run} of {len(ids)} bugs", all_run, within_s=60)
        return seen

    def finish(self, ids: Sequence[str]) -> list[BugRecord]:
        """The bugs, when they have ended."""
        await_that(
            "the measured bugs have ended",
            lambda: all(b.state is BugState.DONE for b in self.store.bugs(list(ids))),
            within_s=120,
        )
        return self.store.bugs(list(ids))

    def cancel(self, ids: Sequence[str]) -> None:
        """Ends the bugs."""
        for bug in ids:
            self._connection.ring(self.store.cancel(bug)[1])
        await_that(
            "the measured bugs are cancelled",
            lambda: all(b.state is BugState.CANCELLED for b in self.store.bugs(list(ids))),
            within_s=60,
        )


def measure(*, quick: bool = False) -> Report:
    """Takes about six minutes; half a minute when quick."""
    report = Report("failover", "Failover, hundreds of bugs in flight", "python -m bench failover")
    with private_store(append_only=True) as server, Workers() as workers:
        report.setup = {
            "store": server.version, "append-only file": "everysec", "nodes": "3 of 9 agents",
            "in flight beside the measured": AT_WORK,
        }  # fmt: skip
        cluster = Cluster(workers, server.url())
        try:
            whole_node(report, cluster, workers, rounds=3 if quick else 50)
            one_process(report, cluster, workers, rounds=2 if quick else 20)
            frozen(report, cluster, workers, rounds=1 if quick else 3)
        finally:
            cluster.close()
    return report


def whole_node(report: Report, cluster: Cluster, workers: Workers, *, rounds: int) -> None:
    """kill -9 of every process of a node."""
    known, running, kept = [], [], []
    for number in range(rounds):
        victim = NODES[number % 2]
        cluster.keep_busy()
        ids = cluster.put(victim, steps=500)
        after, lost_id = cluster.store.last_event_id(), cluster.id_of(victim)
        killed_ms = time.time() * 1000
        workers.kill(victim)
        events = cluster.events_after(after, ids, run=2)
        lost = next(e for e in events if e.action == "node_lost" and e.node == lost_id)
        last = max(e.at_ms for e in events if e.action == "bug_started" and e.bug in ids)
        known.append((lost.at_ms - killed_ms) / 1000)
        running.append((last - killed_ms) / 1000)
        kept += [record.outcome["resumed_after"] for record in cluster.finish(ids)]
        report.rounds.append({"kill": "node", "known_s": known[-1], "running_s": running[-1]})
        cluster.restart(victim)
    note = f"{rounds} kills of a node with {BUGS} bugs; p50 {{:.2f}}, max {{:.2f}}"
    report.add("kill -9 of a node: known to be lost, p99", percentile(known, 0.99), "s",
               at_most=0.5, note=note.format(median(known), max(known)))  # fmt: skip
    report.add("kill -9 of a node: its bugs run elsewhere, p99", percentile(running, 0.99), "s",
               at_most=1.0, note=note.format(median(running), max(running)))  # fmt: skip
    report.add("of those, resumed from a checkpoint", sum(k > 0 for k in kept) / len(kept), "",
               at_least=1.0)  # fmt: skip


def one_process(report: Report, cluster: Cluster, workers: Workers, *, rounds: int) -> None:
    """kill -9 of one pool process, then of one engine's host, under a bug."""
    pick: dict[str, Callable[[psutil.Process], psutil.Process]] = {
        "a pool process": lambda keeper: keeper,
        "an engine": lambda keeper: keeper.children()[0],
    }
    for what, of_keeper in pick.items():
        took = []
        for _ in range(rounds):
            cluster.keep_busy()
            ids = cluster.put("left", steps=60_000)
            main = psutil.Process(workers.pids("left")[0])
            pool = [child for child in main.children() if "warden" not in str(child.cmdline())]
            keeper = next(child for child in pool if child.children())
            after, killed_ms = cluster.store.last_event_id(), time.time() * 1000
            of_keeper(keeper).kill()

            def again(after: str = after, ids: Sequence[str] = ids) -> Any:
                events = cluster.store.events(after)
                return [e for e in events if e.action == "bug_started" and e.bug in ids]

            (began, *_) = await_that("the bug runs again", again, within_s=60)
            took.append((began.at_ms - killed_ms) / 1000)
            cluster.cancel(ids)
        report.rounds.append({"kill": what, "running_s": took})
        report.add(f"kill -9 of {what}: its bug runs again, max", max(took), "s", at_most=2.0,
                   note=f"{rounds} kills; p50 {median(took):.2f}")  # fmt: skip
    await_that(
        "the node has all its pool processes",
        lambda: all(n.metrics["pool_processes"] == AGENTS for n in cluster.store.snapshot().live),
        within_s=30,
    )


def frozen(report: Report, cluster: Cluster, workers: Workers, *, rounds: int) -> None:
    """SIGSTOP of every process of a node, until its bugs run elsewhere; then SIGCONT."""
    took, back = [], []
    for _ in range(rounds):
        ids = cluster.put("left", steps=60_000)
        pids = workers.pids("left")
        after, stopped_ms = cluster.store.last_event_id(), time.time() * 1000
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        events = cluster.events_after(after, ids, run=2)
        last = max(e.at_ms for e in events if e.action == "bug_started" and e.bug in ids)
        took.append((last - stopped_ms) / 1000)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        thawed = time.monotonic()
        cluster.await_nodes()
        back.append(time.monotonic() - thawed)
        cluster.cancel(ids)
    report.add(
        "a frozen node: its bugs run elsewhere, max", max(took), "s", at_most=11.0,
        note="heartbeat timeout 10 s; it serves again "
        f"{max(back):.1f} s after it was thawed, at most",
    )  # fmt: skip
