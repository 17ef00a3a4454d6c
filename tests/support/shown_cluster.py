"""A cluster in which there is something of everything to see, without any process that runs it."""

import json
import math
import random
from dataclasses import dataclass, field
from typing import Any, Final

from fixwurx_celery.domain.bugs import Assignment, Bug, terminal_state
from fixwurx_celery.domain.words import counted
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.scaling_state import ScalingState
from tests.support import cluster

PHASES: Final = ("TRIAGE", "REPRO", "ANALYZE", "PATCH", "VERIFY")
NAMES: Final = ("ttl-cache", "blueprint", "duration", "heap-order", "csv-quote", "retry-after")
OUTCOMES: Final[tuple[dict[str, str], ...]] = (
    {"outcome": "FIXED", "edit": "comparison: `<=` -> `<` at ttlcache/cache.py:29", "patch": "-\n"},
    {"outcome": "FIXED", "edit": "method: `lstrip` -> `rstrip` at microweb/routing.py:70",
     "patch": "-\n"},
    {"outcome": "NOT_FIXED", "reason": "none of 214 candidates passed `python -m pytest -q`"},
    {"outcome": "FIXED", "edit": "variable: `place` -> `cheapest` at toolkit/graph/heap.py:67",
     "patch": "-\n"},
    {"outcome": "TIMED_OUT", "reason": "its limit of 75 s for set-up and run together passed"},
    {"outcome": "NOT_REPRODUCED", "reason": "`python -m pytest -q` passed on the given source"},
    {"outcome": "ERROR", "reason": "cannot clone https://git.example/parser: no such ref 4f2a91c"},
    {"outcome": "FIXED", "edit": "constant: `0` -> `1` at csvquote/writer.py:112", "patch": "-\n"},
)  # fmt: skip
MINUTE_MS: Final = 60_000


@dataclass(slots=True)
class ShownCluster:
    """Fills a store, and keeps it alive for as long as somebody looks."""

    store: ClusterStore
    rng: random.Random = field(default_factory=lambda: random.Random(11))
    lives: dict[str, cluster.Life] = field(default_factory=dict)
    runs: list[cluster.Run] = field(default_factory=list)
    submitted: int = 0

    def add_nodes(self, count: int, agents: int = 9) -> None:
        """Every fifth one has a GPU."""
        for number in range(len(self.lives) + 1, len(self.lives) + count + 1):
            labels = ["python", *(["gpu"] if number % 5 == 0 else [])]
            life, _ = cluster.node(self.store, f"node{number}@host{number % 4}", agents, labels)
            self.lives[life.node] = life

    def add_bugs(self, count: int, agents: int = 3, requires: tuple[str, ...] = ()) -> None:
        """Those that find room run, all but a few; the others wait."""
        bugs = [
            Bug(
                id=f"{self.rng.choice(NAMES)}-{number}", agents=agents, requires=frozenset(requires)
            )
            for number in range(self.submitted, self.submitted + count)
        ]
        self.submitted += count
        for assignment in self.store.submit(bugs)[1]:
            if self.rng.random() > 0.05:
                self._run(assignment)

    def _run(self, assignment: Assignment) -> None:
        life = self.lives[assignment.worker_id]
        run = cluster.start(self.store, assignment, life, f"r-{assignment.bug_id}")
        self._report(run, self.rng.choice(PHASES), f"{run.bug} begins\n")
        self.runs.append(run)

    def _report(self, run: cluster.Run, phase: str = "", log: str = "") -> None:
        self.store.report(
            run.bug, run.node, run.incarnation, run.epoch, run.runner, phase=phase, log=log
        )

    def end_bugs(self, count: int) -> None:
        """The oldest end, one with each outcome in turn."""
        for number in range(count):
            run, outcome = self.runs.pop(0), OUTCOMES[number % len(OUTCOMES)]
            answer = self.store.finish(
                run.bug, run.node, run.incarnation, run.epoch, run.runner,
                terminal_state(outcome), outcome,
            )  # fmt: skip
            for assignment in answer or ():
                self._run(assignment)

    def lose(self, number: int) -> None:
        """The node goes."""
        life = self.lives.pop(
            next(name for name in self.lives if name.startswith(f"node{number}@"))
        )
        self.store.retire(life.node, life.incarnation)
        self.runs = [run for run in self.runs if run.node != life.node]

    def launch(self, name: str) -> None:
        """A controller launches a node that is not there yet."""
        term = self.store.claim_tick("scale", "test", 1000)
        assert term is not None
        ScalingState(self.store).plan_launch(
            term, name, name=name.partition("@")[0], profile="9|python", scope="here", most=1000
        )

    def decide(self, hours: float, most_nodes: int, provider: str = "local") -> None:
        """A history of decisions, one in 30 s: demand comes in waves, and nodes follow it."""
        now_ms = self.store.snapshot(most_nodes=0).now_ms
        nodes, ticks = 2, int(hours * 120)
        for tick in range(ticks, 0, -1):
            wave = 0.55 - 0.45 * math.cos((ticks - tick) / ticks * 3 * math.pi)
            demand = round(wave * most_nodes * 10 + self.rng.uniform(-2, 2))
            held = min(demand, nodes * 9)
            waiting = max(0, demand - held) // 3
            needed = min(most_nodes, max(1, math.ceil(demand / 9)))
            action, reason, wanted = (
                "hold",
                f"{held} of {nodes * 9} agents on {counted(nodes, 'node')} at work",
                nodes,
            )
            if needed > nodes and waiting:
                action, wanted = "out", needed
                more = counted(needed - nodes, "node")
                reason += f", {counted(waiting, 'bug')} of 3 agents in line: {more} more"
            elif needed < nodes - 1:
                action, wanted = "in", needed
                reason = f"the last 60 s did with {needed} of {nodes} nodes; the emptiest go"
            self._decided(
                now_ms - tick * MINUTE_MS // 2,
                action,
                reason,
                nodes,
                wanted,
                held,
                waiting,
                provider,
            )
            nodes = wanted

    def _decided(
        self, at_ms: int, action: str, reason: str, nodes: int, wanted: int, held: int,
        waiting: int, provider: str,
    ) -> None:  # fmt: skip
        full, rest = divmod(held, 9)
        supply = [{"profile": "9|python", "free": 0, "count": full}] if full else []
        supply += [{"profile": "9|python", "free": 9 - rest, "count": 1}] if full < nodes else []
        idle = nodes - full - 1
        supply += [{"profile": "9|python", "free": 9, "count": idle}] if idle > 0 else []
        demand = [{"agents": 3, "requires": ["python"], "waiting": waiting, "run_s": None}]
        view: dict[str, Any] = {
            "supply": supply, "starting": {}, "draining": [], "candidates": [], "others": 0,
            "demand": demand if waiting else [], "needed": [], "boot_s": None, "may_launch": None,
            "trouble": "",
        }  # fmt: skip
        told = {"nodes": nodes, "wanted": wanted, "view": view, "provider": provider, "trouble": ""}
        fields = {"term": 1, "action": action, "reason": reason, "decision": json.dumps(told)}
        self.store.client.xadd(self.store.prefix + "decisions", fields, id=f"{at_ms}-0")  # type: ignore[arg-type]

    def live(self) -> None:
        """Another second: all nodes are heard, and some bugs come to another phase."""
        for life in self.lives.values():
            self.store.heartbeat(life.node, life.incarnation, {})
        for run in self.runs:
            if self.rng.random() < 0.05:
                self._report(run, self.rng.choice(PHASES), "another line\n")

    def drain(self, number: int) -> None:
        """The node drains, and has long for it."""
        self.store.drain(
            next(name for name in self.lives if name.startswith(f"node{number}@")), 3600
        )


def of_everything(store: ClusterStore) -> ShownCluster:
    """A small cluster in which each thing that can be shown is there."""
    shown = ShownCluster(store)
    shown.add_nodes(6)
    shown.decide(2, 5)
    shown.add_bugs(34)
    shown.end_bugs(12)
    shown.lose(6)
    shown.add_bugs(4, agents=1)
    shown.add_bugs(14, requires=("gpu", "python"))
    shown.drain(2)
    shown.end_bugs(2)
    shown.launch("auto1@host1")
    shown.live()
    return shown
