"""(b) How fast bugs are taken in, beside how fast plain Celery takes in tasks.

Ours commits every bug to the store and rings its node, if one has room; plain Celery writes the
message. Both write to one store, with its append-only file on. Nobody consumes while it is
measured, so that only the submitting is. Nodes with room are registered, without processes.
"""

import time
import uuid
from collections.abc import Callable
from typing import Any

from bench.figures import Report, median
from bench.plain import make_plain
from bench.store_server import Store, private_store
from fixwurx_celery.cluster.cluster_resource_manager import ClusterResourceManager
from fixwurx_celery.cluster.connection import Connection
from fixwurx_celery.domain.bugs import Bug
from fixwurx_celery.settings import Settings

__all__ = ["measure"]

NODES = 1000
"""Of nine agents each: room for the 3 000 bugs of a round."""

OURS_DB, PLAIN_DB = 0, 1


class Ours:
    """A cluster in which bugs of class `python` are assigned and those of `licence` wait."""

    def __init__(self, server: Store) -> None:
        settings = Settings(
            redis_url=server.url(OURS_DB), namespace="bench", heartbeat_timeout_sec=3600.0
        )
        self.connection = Connection(settings)
        self.manager = ClusterResourceManager(connection=self.connection)
        for i in range(NODES):
            self.connection.store.register(
                f"node{i}@host", f"life{i}", "9|python", {"hostname": "host"}
            )

    def bugs(self, count: int, *, waiting: bool) -> list[Bug]:
        """New bugs, as a submitter has them."""
        batch = uuid.uuid4().hex[:8]
        requires = frozenset({"licence"} if waiting else {"python"})
        return [
            Bug(id=f"{batch}-{i}", requires=requires, payload={"sleep_s": 0}) for i in range(count)
        ]

    def one_by_one(self, bugs: list[Bug]) -> None:
        """A call each."""
        for bug in bugs:
            self.manager.enqueue(bug)

    def at_once(self, bugs: list[Bug]) -> None:
        """One call for all."""
        self.manager.enqueue_many(bugs)

    def forget(self, server: Store, bugs: list[Bug]) -> None:
        """Gives the room back and empties the nodes' queues."""
        for bug in bugs:
            self.connection.store.release(bug.id)
        client = server.client(OURS_DB)
        queues = [f"{{bench}}:celery:fixwurx.node.node{i}@host" for i in range(NODES)]
        client.delete(*queues)
        client.close()


def plain_ways(server: Store) -> dict[str, Callable[[int], None]]:
    """How users of plain Celery submit: as the manual begins, and as those do who measured it."""
    defaults = make_plain(server.url(PLAIN_DB))
    lean = make_plain(server.url(PLAIN_DB), results=False)
    task, lean_task = defaults.tasks["plain.timed"], lean.tasks["plain.timed"]
    producer: Any = lean.amqp.Producer(lean.connection_for_write())

    def with_results(count: int) -> None:
        for _ in range(count):
            task.apply_async((0,))

    def lean_held(count: int) -> None:
        for _ in range(count):
            lean_task.apply_async((0,), producer=producer)

    return {"plain_defaults": with_results, "plain_lean": lean_held}


def measure(*, quick: bool = False) -> Report:
    """Takes about half a minute; three seconds when quick."""
    rounds, singly, many = (1, 200, 1000) if quick else (7, 1000, 3000)
    report = Report("submit", "Submitting", "python -m bench submit")
    with private_store(append_only=True) as server:
        report.setup = {"store": server.version, "append-only file": "everysec"}
        ours, plain = Ours(server), plain_ways(server)
        client = server.client(PLAIN_DB)

        def rate(count: int, call: Callable[[], None]) -> float:
            began = time.perf_counter()
            call()
            return count / (time.perf_counter() - began)

        def plain_rate(name: str, count: int = singly) -> float:
            measured = rate(count, lambda: plain[name](count))
            client.flushdb()
            return measured

        def our_rate(way: Callable[[list[Bug]], None], count: int, *, waiting: bool) -> float:
            bugs = ours.bugs(count, waiting=waiting)
            measured = rate(count, lambda: way(bugs))
            ours.forget(server, bugs)
            return measured

        cells: dict[str, Callable[[], float]] = {
            "plain_defaults": lambda: plain_rate("plain_defaults"),
            "one_assigned": lambda: our_rate(ours.one_by_one, singly, waiting=False),
            "many_assigned": lambda: our_rate(ours.at_once, many, waiting=False),
            "plain_lean": lambda: plain_rate("plain_lean"),
            "one_waiting": lambda: our_rate(ours.one_by_one, singly, waiting=True),
            "many_waiting": lambda: our_rate(ours.at_once, many, waiting=True),
        }
        plain_rate("plain_defaults", 50)  # opens connections
        plain_rate("plain_lean", 50)
        our_rate(ours.one_by_one, 50, waiting=False)
        names = list(cells)
        for turn in range(rounds):
            order = names[turn % len(names) :] + names[: turn % len(names)]
            measured = {name: round(cells[name]()) for name in order}
            report.rounds.append({name: measured[name] for name in names})
        ours.connection.close()
    _summarise(report)
    return report


def _summarise(report: Report) -> None:
    def middle(name: str) -> float:
        return median(row[name] for row in report.rounds)

    def against(name: str, other: str) -> float:
        return median(row[name] / row[other] for row in report.rounds)

    for name, words in {
        "plain_defaults": "plain Celery: apply_async, result backend on",
        "plain_lean": "plain Celery: results off, one producer held",
        "one_assigned": "enqueue, assigned to a node and rung",
        "one_waiting": "enqueue, into line",
        "many_assigned": "enqueue_many, assigned to nodes and rung",
        "many_waiting": "enqueue_many, into line",
    }.items():
        report.add(words, middle(name), "bugs/s")
    report.add(
        "enqueue (assigned) against plain defaults",
        against("one_assigned", "plain_defaults"),
        "×",
        at_least=0.9,
    )
    report.add(
        "enqueue (assigned) against plain, results off, producer held",
        against("one_assigned", "plain_lean"),
        "×",
    )
    report.add(
        "enqueue_many (into line) against plain defaults",
        against("many_waiting", "plain_defaults"),
        "×",
        at_least=5,
    )
    report.add(
        "enqueue_many (assigned) against plain defaults",
        against("many_assigned", "plain_defaults"),
        "×",
        at_least=5,
    )
