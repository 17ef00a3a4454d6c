"""(d) What one scaling tick costs with 10 000 nodes and a million waiting bugs.

The store is filled for real: every node is registered and launched, holds what it can, and a
million bugs wait. The nodes themselves are not there, nor a provider: its list is made of what the
store knows, so that all the rest of a tick is timed, from the claim to the record.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.figures import Report, median, percentile
from bench.store_server import private_store
from bench.workers import cpu_ms
from fixwurx_celery.cluster import Connection
from fixwurx_celery.cluster.scaler import Scaler
from fixwurx_celery.domain.bugs import Bug
from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.providers import LaunchOrder, ProvidedNode, ProvidedState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store.scaling_state import SCALE, ScalingState

__all__ = ["measure"]

SPEC = NodeSpec(agents=9, capabilities=frozenset({"python"}))
CLASSES = 8
SCOPE = "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    nodes: int = 10_000
    waiting: int = 1_000_000
    ticks: int = 20


QUICK = Size(nodes=500, waiting=5_000, ticks=3)


class Listing:
    """A provider whose nodes all run, as its list says."""

    name, scope = "bench", SCOPE

    def __init__(self, count: int) -> None:
        self._nodes = [
            ProvidedNode(name=f"node{i}", spec=SPEC, state=ProvidedState.RUNNING, age_s=60.0)
            for i in range(count)
        ]

    def worker_id(self, name: str) -> str:
        return f"{name}@bench"

    def is_gone(self, scope: str) -> bool:
        return scope.endswith("gone")

    def list(self) -> Sequence[ProvidedNode]:
        return self._nodes

    def launch(self, order: LaunchOrder) -> None:
        raise AssertionError(f"{order.name} is more than is allowed")

    def stop(self, name: str) -> None:
        """Nothing is there that could end."""

    def remove(self, name: str) -> None:
        """Likewise."""

    def close(self) -> None:
        """Likewise."""


def measure(*, quick: bool = False) -> Report:
    """Takes about two minutes, most of it to fill the store."""
    size = QUICK if quick else Size()
    report = Report("scaling_tick", "One scaling tick", "python -m bench scaling_tick")
    with private_store(append_only=False) as server:
        report.setup = {"store": server.version, "append-only file": "off", "agents a bug": 3}
        settings = Settings(
            redis_url=server.url(),
            namespace="tick",
            provider="local",
            heartbeat_timeout_sec=3600.0,
            max_waiting=size.waiting + 100_000,
            max_workers=size.nodes,
            min_workers=size.nodes,
            scaling_interval_sec=1.0,
        )
        with Connection(settings) as connection:
            store = connection.store
            state = ScalingState(store)
            state.observe(60, "bench")
            term = store.claim_tick(SCALE, "bench", 1000) or 0
            for i in range(size.nodes):
                node = f"node{i}@bench"
                state.adopt_launch(
                    term, node, name=f"node{i}", profile=SPEC.profile, scope=SCOPE, age_s=60
                )
                store.register(node, f"life{i}", SPEC.profile, {})
            scaler = Scaler(connection, provider_of=lambda *_: Listing(size.nodes))
            idle = _ticks(scaler, size.ticks, server.pid)
            report.add(
                f"{size.nodes} idle nodes, nothing waits: a tick, p95",
                percentile([ms for ms, _ in idle], 0.95),
                "ms",
                at_most=250,
                note=_note(idle),
            )
            for start in range(0, size.nodes * 3 + size.waiting, 10_000):
                end = min(size.nodes * 3 + size.waiting, start + 10_000)
                store.submit(
                    [
                        Bug(
                            id=f"BUG-{i}",
                            priority=0 if i < size.nodes * 3 else -(i % CLASSES),
                            agents=3 if i < size.nodes * 3 else 1 + i % CLASSES,
                        )
                        for i in range(start, end)
                    ]
                )
            full = _ticks(scaler, size.ticks, server.pid)
            snapshot = store.snapshot(most_nodes=0)
            report.add(
                f"{size.nodes} nodes that are full, {snapshot.waiting} bugs waiting in"
                f" {CLASSES} classes: a tick, p95",
                percentile([ms for ms, _ in full], 0.95),
                "ms",
                at_most=250,
                note=_note(full),
            )
            report.rounds = [
                {"state": name, "tick_ms": round(ms, 1), "server_cpu_ms": round(cpu, 1)}
                for name, ticks in (("idle", idle), ("full", full))
                for ms, cpu in ticks
            ]
    return report


def _ticks(scaler: Scaler, count: int, server_pid: int) -> list[tuple[float, float]]:
    """ms by the clock, and of the server's processor, for each."""
    taken = []
    while len(taken) < count:
        spent_ms = cpu_ms([server_pid])
        began = time.perf_counter()
        decision = scaler.tick()
        ms = 1000 * (time.perf_counter() - began)
        if decision is None:  # the period is not over
            time.sleep(0.05)
            continue
        taken.append((ms, cpu_ms([server_pid]) - spent_ms))
    return taken


def _note(ticks: Sequence[tuple[float, float]]) -> str:
    return (
        f"p50 {median(ms for ms, _ in ticks):.0f} ms, most {max(ms for ms, _ in ticks):.0f};"
        f" of the server's processor {median(cpu for _, cpu in ticks):.0f} ms"
    )
