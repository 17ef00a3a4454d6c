"""The cluster in plain Python: what each call must do, written without looking at the Lua.

The model decides everything but the choice of node. That it takes from the event log, one
assignment at a time, and checks it against the laws: only the head of a line, only on a node that
is open to it, never past a better head that fits there too. What no law may leave undone is checked
after each step by `idle`.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Final

from fixwurx_celery.domain.bugs import TERMINAL, Bug, BugState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import Event

NOT_STARTED: Final = (BugState.PENDING, BugState.ASSIGNED)
WAITING, HOLDING = BugState.PENDING, (BugState.ASSIGNED, BugState.RUNNING, BugState.RESERVED)


def clock_in(phase: str) -> str:
    """The clock of a bug that runs."""
    return {"TRIAGE": "setup", "VERIFY": "verify"}.get(phase, "run")


@dataclass(slots=True)
class ModelBug:
    """One bug; `due_ms` is set while it backs off, `bell_ms` until it starts, `lease_ms` after.

    `clocks` has the stays that are over, by clock; the present one began at `since_ms`."""

    id: str
    agents: int
    labels: frozenset[str]
    priority: int = 0
    batch: int = 0
    tenths: int = 0
    arrival: int = 0
    state: BugState = BugState.PENDING
    node: str = ""
    incarnation: str = ""
    epoch: int = 0
    runner: str | None = None
    runs: int = 0
    attempts: int = 0
    losses: int = 0
    cancelling: bool = False
    waiting_ms: int = 0
    assigned_ms: int = 0
    started_ms: int = 0
    phase: str = ""
    since_ms: int = 0
    wait_limit_ms: int | None = None
    clocks: Counter[str] = field(default_factory=Counter)
    due_ms: int | None = None
    bell_ms: int | None = None
    lease_ms: int | None = None
    finished_ms: int | None = None

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Where it stands among those who wait; the least comes first."""
        return (-self.priority, self.batch, -self.tenths, self.arrival)

    @property
    def patience_ms(self) -> int | None:
        """When it has waited for as long as it may; None when it does not wait, or may for ever."""
        if self.wait_limit_ms is None or self.state not in NOT_STARTED:
            return None
        return self.since_ms + self.wait_limit_ms - self.clocks["waiting"]

    @property
    def clock(self) -> str:
        """The one that runs."""
        if self.state is not BugState.RUNNING:
            return "waiting"
        return clock_in(self.phase)

    def stop_clock(self, now_ms: int) -> None:
        """The present stay is over; the next begins."""
        self.clocks[self.clock] += max(0, now_ms - self.since_ms)
        self.since_ms = now_ms

    @property
    def name_of_class(self) -> str:
        return f"{self.agents}|{','.join(sorted(self.labels))}"


@dataclass(slots=True)
class ModelNode:
    """One node; `kept_for` names the class that it waits for."""

    name: str
    incarnation: str
    agents: int
    labels: frozenset[str]
    state: str = "READY"
    deadline_ms: int = 0
    gone_ms: int | None = None
    drain_until_ms: int | None = None
    kept_for: str = ""
    # A node that was ejected may stay out until its next heartbeat says otherwise.
    sick: bool = False
    held: dict[str, int] = field(default_factory=dict)

    @property
    def free(self) -> int:
        return self.agents - sum(self.held.values()) if self.state != "OFFLINE" else 0

    def serves(self, bug: ModelBug) -> bool:
        return self.agents >= bug.agents and bug.labels <= self.labels


class Model:
    """The state machine of DESIGN sections 4 to 6."""

    def __init__(self, settings: Settings) -> None:
        self.limits = settings.limits()
        self.now_ms = 0
        self.bugs: dict[str, ModelBug] = {}
        self.nodes: dict[str, ModelNode] = {}
        self.took: dict[str, int] = {}
        self.batches = self.arrivals = 0
        self.highest: dict[str, int] = {}
        self.swept_ms: int | None = None
        self.is_another_server = False
        self.heard: dict[str, str] = {}
        self.unheard: dict[str, int] = {}

    # -- views -----------------------------------------------------------------------------

    def line(self, name: str) -> list[ModelBug]:
        """The bugs of that class that stand in line, in their order."""
        waiting = (b for b in self.bugs.values() if b.state is WAITING and b.due_ms is None)
        return sorted((b for b in waiting if b.name_of_class == name), key=lambda b: b.place)

    def lines(self) -> dict[str, list[ModelBug]]:
        """Every line that is not empty."""
        names = {b.name_of_class for b in self.bugs.values()}
        return {name: line for name in sorted(names) if (line := self.line(name))}

    def waiting(self) -> int:
        return sum(b.state is WAITING for b in self.bugs.values())

    def is_open(self, node: ModelNode, bug: ModelBug) -> bool:
        """Whether the node has room for the bug now, and is not kept for others."""
        return (
            node.state == "READY"
            and node.serves(bug)
            and node.free >= bug.agents
            and node.kept_for in ("", bug.name_of_class)
        )

    def idle(self) -> list[str]:
        """Bugs that wait although a node is open to them. There must be none."""
        return [
            f"{line[0].id} waits although {node.name} has {node.free} agents free"
            for line in self.lines().values()
            for node in self.nodes.values()
            if not node.sick and self.is_open(node, line[0])
        ]

    # -- small steps -----------------------------------------------------------------------

    def assign(self, event: Event) -> None:
        """One assignment or reservation that the store made, if it is lawful."""
        bug, node = self.bugs[event.bug], self.nodes[event.node]
        epoch = int(event.epoch)
        assert epoch > self.highest.get(bug.id, 0), f"epoch {epoch} of {bug.id} is not new"
        assert self.is_open(node, bug), f"{node} has no room for {bug}"
        reserving = event.action == "bug_reserved"
        if not reserving:
            assert bug.state is WAITING, f"{bug} was assigned"
            assert bug.due_ms is None, f"{bug} backs off and was assigned"
            for line in self.lines().values():
                head = line[0]
                if head.name_of_class == bug.name_of_class:
                    assert head is bug, f"{bug.id} was taken before {head.id}, its line's head"
                elif self.is_open(node, head) and not node.sick:
                    assert bug.place < head.place, f"{bug.id} was taken before {head.id}"
            self.end_keeping(bug.name_of_class)
            bug.bell_ms = self.now_ms + self.limits["ring_after_ms"]
        self.highest[bug.id] = bug.epoch = epoch
        bug.state = BugState.RESERVED if reserving else BugState.ASSIGNED
        bug.node, bug.incarnation, bug.assigned_ms = node.name, node.incarnation, self.now_ms
        node.held[bug.id] = bug.agents

    def end_keeping(self, name: str) -> None:
        for node in self.nodes.values():
            if node.kept_for == name:
                node.kept_for = ""

    def keep(self, event: Event) -> None:
        """A node is kept for a starving class, if it starves and no other node is."""
        node, head = self.nodes[event.node], self.line(event.detail)[0]
        assert head.id == event.bug
        assert self.now_ms - head.waiting_ms >= self.limits["starve_after_ms"], f"{head} is young"
        assert node.serves(head)
        assert node.free < head.agents
        before = [n for n in self.nodes.values() if n.kept_for == event.detail]
        assert all(n.sick for n in before), f"{before} are kept for {event.detail} already"
        self.end_keeping(event.detail)
        assert node.kept_for == ""
        node.kept_for = event.detail

    def let_go(self, bug: ModelBug) -> None:
        if bug.node in self.nodes:
            self.nodes[bug.node].held.pop(bug.id, None)
        bug.bell_ms = bug.lease_ms = None

    def conclude(self, bug: ModelBug, state: BugState) -> None:
        bug.stop_clock(self.now_ms)
        bug.state, bug.finished_ms, bug.cancelling = state, self.now_ms, False
        bug.due_ms = None

    def give_back(self, bug: ModelBug, charge: str) -> str:
        """Off its node, for a reason that `charge` names; the state it comes to."""
        self.let_go(bug)
        if bug.state is BugState.RESERVED:
            del self.bugs[bug.id]
            return "RELEASED"
        if bug.cancelling:
            self.conclude(bug, BugState.CANCELLED)
            return "CANCELLED"
        count = 0
        if charge:
            count = getattr(bug, charge) + 1
            setattr(bug, charge, count)
            if count >= self.limits["max_attempts" if charge == "attempts" else "max_losses"]:
                self.conclude(bug, BugState.ESCALATED)
                return "ESCALATED"
        bug.stop_clock(self.now_ms)
        bug.state, bug.node, bug.incarnation = WAITING, "", ""
        bug.waiting_ms = self.now_ms
        if count > 1:
            bug.due_ms = self.now_ms + self.limits["backoff_ms"] * min(64, 2 ** (count - 2))
        return "PENDING"

    def stop_waiting(self, bug: ModelBug, state: BugState | None) -> None:
        """Out of its line, into a terminal state or (None) forgotten."""
        name = bug.name_of_class
        if state is None:
            del self.bugs[bug.id]
        else:
            self.conclude(bug, state)
        if not self.line(name):
            self.end_keeping(name)

    def hear(self, node: str, life: str, *, listens: bool) -> None:
        """The node calls: it lives, and if it listens, its hanging up will tell of its death."""
        if listens:
            self.heard[node] = life
        self.unheard.pop(node, None)

    def lose(self, node: ModelNode, charge: str) -> None:
        self.heard.pop(node.name, None)
        self.unheard.pop(node.name, None)
        for bug_id in list(node.held):
            self.give_back(self.bugs[bug_id], charge)
        self.nodes[node.name] = replace(
            node, state="OFFLINE", held={}, kept_for="", gone_ms=self.now_ms, drain_until_ms=None
        )

    def largest(self, bug: Bug) -> int:
        """The most agents that a node which has the bug's labels has, or could be given."""
        totals = [
            n.agents
            for n in self.nodes.values()
            if n.state != "OFFLINE" and bug.requires <= n.labels
        ]
        return max([self.limits["largest_node"], *totals])

    def owns(self, bug: ModelBug | None, node: str, life: str, epoch: int) -> bool:
        return bug is not None and (bug.node, bug.incarnation, bug.epoch) == (node, life, epoch)

    def follow(self, events: list[Event]) -> None:
        """Assignments, keepings and ejections, in the order in which they were made."""
        for event in events:
            if event.action in ("bug_assigned", "bug_reserved"):
                self.assign(event)
            elif event.action == "node_kept":
                self.keep(event)
            elif event.action == "node_ejected":
                self.nodes[event.node].sick = True  # what it was kept for may go to another

    def tenths_of(self, bug: Bug) -> int:
        """What is expected of the bug, as coarse as lines are."""
        expected_ms = int((bug.expected_s or 0) * 1000)
        return (expected_ms or self.took.get(bug.id, 0)) // 100

    def is_over(self, bug_id: str) -> bool:
        return bug_id in self.bugs and self.bugs[bug_id].state in TERMINAL
