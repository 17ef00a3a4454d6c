"""Ten thousand bugs and two hundred lives of nodes leave the store as they found it.

    make soak                                    ten minutes or so
    FIXWURX_SOAK_BUGS=1000 FIXWURX_SOAK_BIRTHS=20 make soak

Each node is a real `celery worker` under a name of its own, lives for some seconds, and ends by
SIGTERM or kill -9. The baseline is what a tenth of the same has left.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from fixwurx_celery.domain.bugs import Bug
from fixwurx_celery.store import ClusterStore
from tests.chaos.checks import Finding, check_history, check_store
from tests.chaos.fleet import Fleet, Supervised
from tests.chaos.leftovers import left_in_store, left_of_fleet, names_in, sweep_later

BUGS = int(os.environ.get("FIXWURX_SOAK_BUGS", "10000"))
BIRTHS = int(os.environ.get("FIXWURX_SOAK_BIRTHS", "200"))
NODES, BOOTING, AGENTS = 4, 2, 3
WITHIN = 0.05


@dataclass(frozen=True, slots=True)
class Size:
    """What the store holds when nothing lives: keys by kind, and bytes."""

    kinds: Counter[str]
    memory: int

    @property
    def keys(self) -> int:
        return self.kinds.total()

    def __str__(self) -> str:
        return f"{self.keys} keys {dict(self.kinds)}, {self.memory / 1024:.0f} KB"


@dataclass(slots=True)
class Soak:
    """Bugs and nodes that come and go."""

    cluster: Fleet
    store: ClusterStore
    rng: random.Random
    submitted: list[str] = field(default_factory=list)
    alive: list[Supervised] = field(default_factory=list)
    born: int = 0

    def round(self, bugs: int, births: int) -> None:
        """So many of each, evenly mixed; ends when all bugs and all nodes have."""
        self.cluster.add_controller()
        self.cluster.add_beat()
        target = len(self.submitted) + bugs
        for birth in range(births):
            self.alive.append(self.cluster.add_node())
            self.born += 1
            self.submit((target - len(self.submitted)) // (births - birth))
            self.cluster.wait("nodes boot", lambda: self.booting() < BOOTING, within_s=120)
            while len(self.alive) > NODES:
                self.end(self.alive.pop(0))
        self.cluster.wait("all bugs end", self.all_ended, within_s=300)
        while self.alive:
            self.end(self.alive.pop(0))
        self.cluster.wait("all bugs have expired", lambda: not self.store.bug_ids(), within_s=60)
        self.cluster.wait(
            "all nodes are gone", lambda: not self.store.snapshot().live_nodes, within_s=60
        )
        self.cluster.wait(
            "the queues of all nodes are deleted for good",
            lambda: not self.store.client.exists(f"{self.store.prefix}queues"),
            within_s=90,
        )
        self.cluster.stop(60)

    def submit(self, count: int) -> None:
        """No-op bugs, each with an id of its own."""
        bugs = [Bug(id=f"s{len(self.submitted) + i}", agents=1) for i in range(count)]
        self.store.submit(bugs)
        self.submitted += [bug.id for bug in bugs]

    def booting(self) -> int:
        """Nodes that were started and have not registered yet."""
        in_service = {node.worker_id for node in self.store.snapshot().live}
        return sum(node.name not in in_service for node in self.alive)

    def end(self, node: Supervised) -> None:
        """SIGTERM or kill -9 of its main process; it is not started again."""
        node.is_wanted = False
        for process in node.main():
            process.terminate() if self.rng.random() < 0.5 else process.kill()

    def all_ended(self) -> bool:
        """By the store's own count: many have expired by now."""
        stats = self.store.snapshot().stats
        return sum(stats.get(s, 0) for s in ("DONE", "ESCALATED", "CANCELLED")) >= len(
            self.submitted
        )


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_ten_thousand_bugs_and_two_hundred_lives_of_nodes_leave_the_store_as_it_was(
    fleet: Callable[..., Fleet], seed: int, say: Callable[[str], None]
) -> None:
    say(f"seed {seed}: {BUGS} bugs, {BIRTHS} births and deaths of nodes")
    cluster = fleet(
        engine="tests.chaos.engine:Nothing",
        total_agents=AGENTS,
        heartbeat_interval_sec=0.5,
        heartbeat_timeout_sec=4,
        ring_after_sec=1,
        health_check_interval_sec=1,
        drain_timeout_sec=5,
        max_losses=100,
        max_attempts=100,
        keep_finished_sec=3,
    )
    store = ClusterStore.from_settings(cluster.settings)
    soak = Soak(cluster, store, random.Random(seed))

    soak.round(BUGS // 10, BIRTHS // 10)
    found = _look_over(soak)
    before = _size(cluster, store)
    say(f"baseline: {before}")
    began = time.monotonic()
    soak.round(BUGS, BIRTHS)
    took_s = time.monotonic() - began
    found += _look_over(soak)
    after = _size(cluster, store)
    say(f"after {took_s:.0f} s, {soak.born} births in all: {after}")

    found += [Finding(f"left: {line}") for line in left_of_fleet(cluster)]
    grown = after.kinds - before.kinds
    if abs(after.keys - before.keys) > WITHIN * before.keys:
        found.append(Finding(f"{before.keys} keys became {after.keys}; more of {dict(grown)}"))
    if abs(after.memory - before.memory) > WITHIN * before.memory:
        found.append(Finding(f"{before.memory} bytes became {after.memory}"))
    store.close()
    assert not found, "\n".join([f"seed {seed}:", *(f"- {finding.text}" for finding in found)])


def _look_over(soak: Soak) -> list[Finding]:
    """Each bug was done once; nothing was over-committed; nothing is out of order."""
    stats = soak.store.snapshot().stats
    found = [*check_store(soak.store), *check_history(soak.store)]
    if stats.get("DONE") != len(soak.submitted):
        found.append(Finding(f"{len(soak.submitted)} bugs were submitted, and ended as {stats}"))
    return found + [Finding(f"left: {line}") for line in left_in_store(soak.store, [])]


def _size(cluster: Fleet, store: ClusterStore) -> Size:
    """A day later, with the event log emptied: it is bounded, and holds what was just done."""
    sweep_later(cluster.settings)
    store.client.xtrim(store.prefix + "events", maxlen=0, approximate=False)
    names = names_in(store)
    kinds = Counter(
        ":".join(name.split(":")[: 2 if name.startswith("celery:") else 1]) for name in names
    )
    store.client.memory_purge()
    return Size(kinds, int(store.ping()["used_memory"]))
