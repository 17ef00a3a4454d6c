"""A discrete-event simulation of a cluster and its scaler. The same input gives the same outcome.

Nothing here looks at a clock: events lie on a heap, and time is that of the next.
"""

import heapq
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.simulation.fleet import Fleet, Node
from fixwurx_celery.simulation.outcome import Change, Outcome, Sample
from fixwurx_celery.simulation.trace import Trace, check_trace

__all__ = ["Orders", "Scaler", "Setup", "simulate"]

END, READY, ARRIVAL, TICK = range(4)
"""Of what happens at the same instant, agents are freed first and the scaler looks last."""
GIVE_UP_S: Final = 7 * 86400.0
"""How long after the end of the trace bugs may still wait, should a scaler never serve them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a scaler wants done now, and why."""

    launch: Sequence[NodeSpec] = ()
    resume: Sequence[str] = ()
    drain: Sequence[str] = ()
    reason: str = ""


class Scaler(Protocol):
    """Who decides how many nodes there are. One object serves one run: it may remember."""

    @property
    def interval_s(self) -> float:
        """Seconds between two looks at the fleet."""

    @property
    def packs(self) -> bool:
        """Whether bugs are put on the fullest node with room, rather than on the emptiest."""

    def act(self, fleet: Fleet, now_s: float) -> Orders:
        """What to do about the fleet as it is."""

    def ended(self, bug: int, ran_s: float) -> None:
        """A bug has ended: what can be learned of its duration."""

    def booted(self, boot_s: float) -> None:
        """A node has started: what can be learned of the time it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The kinds of nodes with what an hour of each costs, and how long they take to start:
    uniform between two bounds, which are the same by default."""

    prices: Mapping[NodeSpec, float]
    boot_s: tuple[float, float] = (60.0, 60.0)

    @property
    def specs(self) -> Sequence[NodeSpec]:
        """The kinds of nodes, the usual one first."""
        return list(self.prices)


@dataclass(slots=True)
class _Run:
    trace: Trace
    setup: Setup
    scaler: Scaler
    rng: random.Random
    now_s: float = 0.0
    events: list[tuple[float, int, int, int, Node | None]] = field(default_factory=list)
    count: int = 0
    left: int = 0
    came_s: list[float] = field(default_factory=list)  # by bug, the last of those that repeat
    repeats: list[int] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    node_s: dict[NodeSpec, float] = field(default_factory=dict)
    worked_s: float = 0.0
    busy_stopped: int = 0
    changes: list[Change] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def __call__(self) -> Outcome:
        trace = self.trace
        fleet = Fleet(
            list(trace.arrivals), self.started, self.stopped, is_packing=self.scaler.packs
        )
        self.left = trace.bugs
        self.came_s = [one.at_s for one in trace.arrivals]
        self.repeats = [one.repeats for one in trace.arrivals]
        self.events = [(one.at_s, ARRIVAL, i, i, None) for i, one in enumerate(trace.arrivals)]
        self.count = len(self.events)
        self.push(0.0, TICK)
        while self.events:
            at_s, kind, _, bug, node = heapq.heappop(self.events)
            if kind == TICK and not self.left and at_s >= trace.length_s:
                break
            if at_s > trace.length_s + GIVE_UP_S:
                break
            self.now_s = at_s
            if kind == ARRIVAL:
                fleet.submit(bug)
            elif kind == TICK:
                self.look(fleet)
                self.push(at_s + self.scaler.interval_s, TICK)
            elif kind == END and node is not None:
                self.left -= 1
                self.scaler.ended(bug, trace.arrivals[bug].duration_s)
                fleet.end(bug, node, at_s)
                if self.repeats[bug]:
                    self.repeats[bug] -= 1
                    self.came_s[bug] = at_s
                    self.push(at_s, ARRIVAL, bug)
            elif node is not None:
                self.scaler.booted(at_s - node.launched_s)
                fleet.ready(node, at_s)
        self.now_s = max(self.now_s, trace.length_s)
        for node in fleet.nodes.values():
            self.charge(node)
        return Outcome(
            waits=self.waits,
            unserved=fleet.waiting,
            node_s=sum(self.node_s.values()),
            cost=sum(self.setup.prices[spec] * s / 3600 for spec, s in self.node_s.items()),
            worked_s=self.worked_s,
            capacity_s=sum(spec.agents * s for spec, s in self.node_s.items()),
            busy_stopped=self.busy_stopped,
            changes=self.changes,
            samples=self.samples,
        )

    def push(self, at_s: float, kind: int, bug: int = -1, node: Node | None = None) -> None:
        self.count += 1  # a tie goes to what was planned first
        heapq.heappush(self.events, (at_s, kind, self.count, bug, node))

    def look(self, fleet: Fleet) -> None:
        orders = self.scaler.act(fleet, self.now_s)
        for name in orders.resume:
            fleet.resume(name)
        for name in orders.drain:
            fleet.drain(name)
        for spec in orders.launch:
            node = fleet.launch(spec, self.now_s)
            self.push(self.now_s + self.rng.uniform(*self.setup.boot_s), READY, node=node)
        if orders.launch or orders.resume or orders.drain:
            self.changes.append(
                Change(
                    at_s=self.now_s,
                    launched=len(orders.launch),
                    resumed=len(orders.resume),
                    drained=len(orders.drain),
                    reason=orders.reason,
                )
            )
        self.samples.append(sample(fleet, self.now_s))

    def started(self, bug: int, node: Node) -> None:
        one = self.trace.arrivals[bug]
        self.waits.append(self.now_s - self.came_s[bug])
        self.worked_s += one.agents * one.duration_s
        self.push(self.now_s + one.duration_s, END, bug, node)

    def stopped(self, node: Node) -> None:
        self.busy_stopped += bool(node.holds)
        self.charge(node)

    def charge(self, node: Node) -> None:
        paid = self.node_s.get(node.spec, 0.0)
        self.node_s[node.spec] = paid + self.now_s - node.launched_s


def sample(fleet: Fleet, now_s: float) -> Sample:
    """The fleet as a plot shows it."""
    serving = fleet.serving
    return Sample(
        at_s=now_s,
        demand=sum(sum(node.holds.values()) for node in fleet.nodes.values())
        + sum(agents * len(line) for (agents, _), line in fleet.lines.items()),
        capacity=sum(node.spec.agents for node in serving),
        serving=len(serving),
        starting=len(fleet.starting),
        draining=len(fleet.draining),
    )


def simulate(trace: Trace, scaler: Scaler, setup: Setup, seed: int = 1) -> Outcome:
    """What became of the trace under that scaler. The seed draws the times that nodes take to
    start. Raises InputError for a bug that no node can run."""
    check_trace(trace, setup.specs)
    return _Run(trace, setup, scaler, random.Random(seed))()  # noqa: S311 - a simulation
