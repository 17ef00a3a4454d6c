"""(a) What one admission costs: choosing the node, reserving its agents, recording the bug.

One `submit` of one bug is one round trip. It is timed at the client, in the server by its own
statistics of the command (`INFO commandstats`, EVALSHA), and as processor time of the server, all
of its work on the request included. The bar is held against the last: another process that takes
the core in between does not count there. The nodes are registered in the store
as nodes register themselves; no process is behind them, as none takes part in an admission. The
number of nodes is taken up to the largest and down again, so that each size is measured at two
moments, with and without the line of waiting bugs.
"""

import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis

from bench.figures import Report, median, percentile
from bench.store_server import Store, private_store
from bench.workers import cpu_ms
from fixwurx_celery.domain.bugs import Bug
from fixwurx_celery.domain.nodes import BalancingStrategy
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore

__all__ = ["measure"]

PROFILES = ("9|python", "9|gpu,python", "18|python", "6|java,python")
"""Nodes differ, so that the choice has several shelves to compare."""
BLOCK = 20
"""Admissions between two clean-ups: fewer than ten nodes have room for."""
PAYLOAD = {
    "source": {"git": "https://git.example.org/shop/cart.git", "ref": "9f2c" * 10},
    "reproduce": "python -m pytest -q -x tests/test_cart.py",
}
WAITING_CLASSES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    nodes: Sequence[int] = (10, 100, 1_000, 10_000)
    waiting: int = 1_000_000
    blocks: int = 30


QUICK = Size(nodes=(10, 100, 1_000), waiting=20_000, blocks=2)


class Cluster:
    """One namespace with nodes that are registered and processes that are not there."""

    def __init__(self, server: Store, client: "redis.Redis", name: str, most_waiting: int) -> None:
        settings = Settings(
            redis_url=server.url(),
            namespace=name,
            heartbeat_timeout_sec=3600.0,
            max_waiting=most_waiting + 1000,
        )
        self.store = ClusterStore.from_settings(settings)
        self._client, self._server_pid = client, server.pid
        self._nodes = 0
        self._bugs = 0

    def resize(self, count: int) -> None:
        """Registers or retires nodes until there are so many."""
        while self._nodes < count:
            profile = PROFILES[self._nodes % len(PROFILES)]
            self.store.register(f"node{self._nodes}@host", f"life{self._nodes}", profile, {})
            self._nodes += 1
        while self._nodes > count:
            self._nodes -= 1
            self.store.retire(f"node{self._nodes}@host", f"life{self._nodes}")

    def wait_in_line(self, count: int) -> tuple[float, float]:
        """Submits bugs that no node can serve yet; bytes of the store a bug, and bugs a second."""
        before = self._memory()
        began = time.monotonic()
        for start in range(0, count, 10_000):
            self.store.submit(
                [
                    Bug(
                        id=f"WAITING-{i}",
                        requires=frozenset({f"licence{i % WAITING_CLASSES}"}),
                        payload=PAYLOAD,
                    )
                    for i in range(start, min(count, start + 10_000))
                ]
            )
        rate = count / (time.monotonic() - began)
        return (self._memory() - before) / count, rate

    def admit(self, blocks: int) -> tuple[list[float], list[float], list[float]]:
        """Admissions of one bug each: µs at the client (of each), in the script and of the server's
        processor (means of blocks)."""
        at_client, in_script, of_server = [], [], []
        for _ in range(blocks):
            ids = [f"BUG-{self._bugs + i}" for i in range(BLOCK)]
            self._bugs += BLOCK
            self._client.config_resetstat()
            spent_ms = cpu_ms([self._server_pid])
            for bug_id in ids:
                bug = Bug(id=bug_id, payload=PAYLOAD)
                began = time.perf_counter_ns()
                (submission,), _ = self.store.submit([bug])
                at_client.append((time.perf_counter_ns() - began) / 1000)
                if submission.status != "ASSIGNED":
                    raise RuntimeError(f"{bug_id} was not assigned but {submission}")
            of_server.append(1000 * (cpu_ms([self._server_pid]) - spent_ms) / BLOCK)
            in_script.append(self._evalsha_us())
            for bug_id in ids:
                self.store.release(bug_id)
        return at_client, in_script, of_server

    def admit_to_line(self, count: int) -> list[float]:
        """µs in the server of admissions that end in a line of waiting bugs."""
        in_server = []
        for _ in range(count):
            ids = [f"BUG-{self._bugs + i}" for i in range(BLOCK)]
            self._bugs += BLOCK
            self._client.config_resetstat()
            for bug_id in ids:
                self.store.submit(
                    [Bug(id=bug_id, requires=frozenset({"licence0"}), payload=PAYLOAD)]
                )
            in_server.append(self._evalsha_us())
            for bug_id in ids:
                self.store.release(bug_id)
        return in_server

    def _evalsha_us(self) -> float:
        stats: Any = self._client.info("commandstats")
        return float(stats["cmdstat_evalsha"]["usec_per_call"])

    def _memory(self) -> int:
        about: Any = self._client.info("memory")
        return int(about["used_memory"])


def measure(*, quick: bool = False) -> Report:
    """Takes about three minutes, a minute of it to fill the line; a few seconds when quick."""
    size = QUICK if quick else Size()
    report = Report("admission", "One admission with choice of node", "python -m bench admission")
    order = random.Random(1)
    with private_store(append_only=False) as server:
        report.setup = {"store": server.version, "append-only file": "off", "agents a bug": 3}
        client = server.client()
        clusters = {
            0: Cluster(server, client, "empty", size.waiting),
            size.waiting: Cluster(server, client, "waiting", size.waiting),
        }
        clusters[size.waiting].resize(size.nodes[0])
        bytes_a_bug, rate = clusters[size.waiting].wait_in_line(size.waiting)
        walk = [*size.nodes, *reversed(size.nodes)]
        for nodes in walk:
            for waiting, cluster in clusters.items():
                cluster.resize(nodes)
                cells = list(BalancingStrategy)
                order.shuffle(cells)
                for strategy in cells:
                    cluster.store.set_strategy(strategy)
                    cluster.admit(1)  # warms caches on both sides
                    at_client, in_script, of_server = cluster.admit(size.blocks)
                    report.rounds.append(
                        {
                            "nodes": nodes,
                            "waiting": waiting,
                            "strategy": str(strategy),
                            "client_p50_us": round(percentile(at_client, 0.50), 1),
                            "client_p99_us": round(percentile(at_client, 0.99), 1),
                            "script_us": round(median(in_script), 1),
                            "server_cpu_us": round(median(of_server), 1),
                        }
                    )
        to_line = median(clusters[size.waiting].admit_to_line(size.blocks))
    _summarise(report, size, bytes_a_bug, rate, to_line)
    return report


def _summarise(
    report: Report, size: Size, bytes_a_bug: float, fill_rate: float, to_line_us: float
) -> None:
    cells: dict[tuple[str, int, int], dict[str, list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in report.rounds:
        for key in ("client_p50_us", "client_p99_us", "script_us", "server_cpu_us"):
            cells[row["strategy"], row["waiting"], row["nodes"]][key].append(row[key])
    fewest, most = size.nodes[0], size.nodes[-1]
    for waiting in (0, size.waiting):
        for strategy in BalancingStrategy:
            here = {nodes: cells[strategy, waiting, nodes] for nodes in size.nodes}
            server = {nodes: median(cell["server_cpu_us"]) for nodes, cell in here.items()}
            note = "µs of the server's processor (in the script) at " + ", ".join(
                f"{nodes} nodes: {server[nodes]:.0f} ({median(here[nodes]['script_us']):.0f})"
                for nodes in size.nodes
            )
            client = here[most]
            note += (
                f"; client p50 {median(client['client_p50_us']):.0f},"
                f" p99 {median(client['client_p99_us']):.0f} at {most}"
            )
            report.add(
                f"{strategy}, {waiting} waiting: {most} nodes against {fewest}",
                server[most] / server[fewest],
                "×",
                at_most=1.5,
                note=note,
            )
    report.add(
        f"admission into a line of {size.waiting}",
        to_line_us,
        "µs in the server",
        note=f"with {size.nodes[0]} nodes, none of which serves the class",
    )
    report.add(
        "memory of the store a waiting bug",
        bytes_a_bug,
        "bytes",
        at_most=1536,
        note=f"{size.waiting} bugs, ids of 14 characters, payload of 155; submitted at"
        f" {fill_rate:.0f} bugs/s, a thousand a call",
    )
