"""(g) What monitoring costs: a scrape, the tallies that each bug leaves, and a metric that is sent.

The scrape is of a cluster that is filled for real: nodes are registered, bugs run and wait, with no
processes behind them. The tallies are compared with the same scripts without them, lives of bugs
taking turns on one server, with its append-only file on.
"""

import re
import time
import timeit
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha1
from typing import Any

from bench.figures import Report, median, percentile
from bench.store_server import Store, private_store
from bench.workers import cpu_ms
from fixwurx_celery.domain.bugs import Bug, BugState
from fixwurx_celery.metrics import MetricBus
from fixwurx_celery.metrics.prometheus import ClusterCollector, page_of
from fixwurx_celery.metrics.readings import MOST_NODES, Reading
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.scripts import Script

__all__ = ["measure"]

CLASSES = 8
TALLY = re.compile(r"^ *tally(?:_time)?\(.*\)\n", re.MULTILINE)
"""A statement that counts. None of them goes over several lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    nodes: int = 100
    running: int = 900
    waiting: int = 10_000
    scrapes: int = 200
    rounds: int = 30
    lives: int = 100
    sends: int = 300_000


QUICK = Size(nodes=10, running=90, waiting=500, scrapes=10, rounds=2, lives=20, sends=10_000)


class Looked:
    """Readings of which each is made when it is asked for."""

    def __init__(self, store: ClusterStore) -> None:
        self._store = store

    def latest(self) -> Reading:
        began = time.monotonic()
        measured = self._store.measure(MOST_NODES)
        return Reading(measured, time.monotonic() - began, "bench")


def measure(*, quick: bool = False) -> Report:
    """Takes about half a minute."""
    size = QUICK if quick else Size()
    report = Report("monitoring", "What monitoring costs", "python -m bench monitoring")
    with private_store(append_only=True) as server:
        report.setup = {"store": server.version, "append-only file": "everysec"}
        _scrapes(report, server, size)
        _tallies(report, server, size)
    _sends(report, size)
    return report


# -- a scrape ------------------------------------------------------------------------------


def _scrapes(report: Report, server: Store, size: Size) -> None:
    store = _store(server, "full", max_waiting=size.waiting + 1000)
    for i in range(size.nodes):
        store.register(f"node{i}@host", f"life{i}", "9|python", {"hostname": "host"})
    _, assigned = store.submit([Bug(id=f"RUNS-{i}", agents=1) for i in range(size.running)])
    for one in assigned:
        store.start(one.bug_id, one.worker_id, _life(one.worker_id), one.epoch, "runner")
    store.submit([Bug(id=f"WAITS-{i}", agents=1 + i % CLASSES) for i in range(size.waiting)])
    page = page_of(ClusterCollector(Looked(store)))  # type: ignore[arg-type]
    text = page()
    at_client, spent_ms = [], cpu_ms([server.pid])
    began_us = _script_us(server)
    for _ in range(size.scrapes):
        began = time.perf_counter()
        page()
        at_client.append(1000 * (time.perf_counter() - began))
    of_server = (cpu_ms([server.pid]) - spent_ms) / size.scrapes
    in_script = (_script_us(server) - began_us) / size.scrapes / 1000
    what = f"{size.nodes} nodes, {size.running} bugs running, {size.waiting} waiting"
    series = sum(not line.startswith(b"#") for line in text.splitlines())
    report.add(
        f"a scrape of {what}: of the server's processor",
        of_server,
        "ms",
        at_most=5,
        note=f"{in_script:.2f} in the script; one round trip",
    )
    report.add(
        "the same, in all, p95",
        percentile(at_client, 0.95),
        "ms",
        at_most=50,
        note=f"p50 {median(at_client):.1f}; {series} series, {len(text) / 1024:.0f} KB",
    )
    store.close()


# -- tallies -------------------------------------------------------------------------------


def _tallies(report: Report, server: Store, size: Size) -> None:
    stores = {"with": _store(server, "with"), "without": _store(server, "without")}
    stores["without"]._scripts = {
        name: _without_tallies(script) for name, script in stores["without"]._scripts.items()
    }
    for store in stores.values():
        for i in range(3):
            store.register(f"node{i}@host", f"life{i}", "9|python", {})
        _lives(store, "warm", 20)
    for turn in range(size.rounds):
        row: dict[str, Any] = {}
        for name in ("with", "without") if turn % 2 else ("without", "with"):
            before = _script_us(server), cpu_ms([server.pid]), _aof_bytes(server)
            began = time.perf_counter()
            _lives(stores[name], f"r{turn}", size.lives)
            row[f"{name}_ms"] = 1000 * (time.perf_counter() - began) / size.lives
            row[f"{name}_script_us"] = (_script_us(server) - before[0]) / size.lives
            row[f"{name}_cpu_us"] = 1000 * (cpu_ms([server.pid]) - before[1]) / size.lives
            row[f"{name}_aof_bytes"] = (_aof_bytes(server) - before[2]) / size.lives
        report.rounds.append({key: round(value, 3) for key, value in row.items()})

    def ratio(what: str) -> float:
        return median(row[f"with_{what}"] / row[f"without_{what}"] for row in report.rounds)

    def middle(name: str, what: str) -> float:
        return median(row[f"{name}_{what}"] for row in report.rounds)

    for what, words, bar in (
        ("script_us", "µs in scripts", 1.15),
        ("cpu_us", "µs of the server's processor", None),
        ("ms", "ms at the client", 1.15),
        ("aof_bytes", "bytes of append-only file", None),
    ):
        report.add(
            f"a bug's life with tallies against without: {words}",
            ratio(what),
            "×",
            at_most=bar,
            note=f"{middle('with', what):.4g} and {middle('without', what):.4g}; submit, start, two"
            f" phases, finish; {size.rounds} rounds of {size.lives}",
        )
    for store in stores.values():
        store.close()


def _without_tallies(script: Script) -> Script:
    source = TALLY.sub("", script.source)
    return replace(
        script, source=source, sha=sha1(source.encode(), usedforsecurity=False).hexdigest()
    )


def _lives(store: ClusterStore, prefix: str, count: int) -> None:
    """So many bugs, one after the other, from submission to end."""
    for i in range(count):
        _, (given,) = store.submit([Bug(id=f"{prefix}-{i}", payload={"sleep_s": 0})])
        names = (given.bug_id, given.worker_id, _life(given.worker_id), given.epoch, "runner")
        store.start(*names)
        for phase in ("REPRO", "VERIFY"):
            store.report(*names, phase=phase)
        store.finish(*names, BugState.DONE, {"outcome": "FIXED"})


# -- sending -------------------------------------------------------------------------------


def _sends(report: Report, size: Size) -> None:
    bus, tags = MetricBus(), {"agent_id": "node1@host"}

    def timed(send: Callable[[], None]) -> float:
        send()
        takes = timeit.repeat(send, number=size.sends, repeat=5)
        return min(takes) / size.sends * 1e9

    report.add(
        "MetricBus.send of a gauge",
        timed(lambda: bus.send("triangulum.tick_count", 17)),
        "ns",
        at_most=1000,
    )
    report.add(
        "MetricBus.send with a tag",
        timed(lambda: bus.send("triangulum.agent_utilization", 0.5, tags=tags)),
        "ns",
        at_most=1500,
    )


# -- asking the server ---------------------------------------------------------------------


def _store(server: Store, namespace: str, **given: Any) -> ClusterStore:
    settings = Settings(
        redis_url=server.url(), namespace=namespace, heartbeat_timeout_sec=3600.0, **given
    )
    return ClusterStore.from_settings(settings)


def _life(node: str) -> str:
    return node.replace("node", "life").partition("@")[0]


def _script_us(server: Store) -> float:
    client = server.client()
    stats: Any = client.info("commandstats")
    client.close()
    return float(stats["cmdstat_evalsha"]["usec"])


def _aof_bytes(server: Store) -> int:
    client = server.client()
    about: Any = client.info("persistence")
    client.close()
    return int(about["aof_current_size"]) + int(about.get("aof_buffer_length", 0))
