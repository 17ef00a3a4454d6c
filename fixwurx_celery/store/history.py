"""What a sequence of events proves: a checker that is fed event after event and knows nothing else.

                 ┌──given back──┬───────────────┐
                 ▼              │               │
    submitted ─▶ PENDING ──▶ ASSIGNED ──▶ RUNNING ─▶ finished, escalated, cancelled, released
    retried                             reserved ─▶ RESERVED ─▶ released

Each event must be one that may follow where its bug or node stands, come from the node that holds
the bug, and carry its newest epoch. With that go: agents within each node's total at every instant,
no assignment to a node that drains, is lost or unknown, a lost node that holds nothing, epochs and
terms that only rise. (docs/events.md has the fields.)

A log that begins in the middle is told so with `is_whole=False`: what may have happened before it
is believed. Memory is that of the live bugs and the nodes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.domain.nodes import WorkerState
from fixwurx_celery.store.records import Event

__all__ = ["History", "LiveBug", "SeenNode", "check", "tick_gaps_ms"]

PENDING, ASSIGNED = BugState.PENDING, BugState.ASSIGNED
RUNNING, RESERVED = BugState.RUNNING, BugState.RESERVED
READY, STOPPING, OFFLINE = WorkerState.READY, WorkerState.STOPPING, WorkerState.OFFLINE

BUG_MOVES: Final[Mapping[str, tuple[frozenset[BugState | None], BugState | None]]] = {
    "bug_submitted": (frozenset({None}), PENDING),
    "bug_retried": (frozenset({None}), PENDING),
    "bug_reserved": (frozenset({None}), RESERVED),
    "bug_assigned": (frozenset({PENDING}), ASSIGNED),
    "bug_rung_again": (frozenset({ASSIGNED}), ASSIGNED),
    "bug_started": (frozenset({ASSIGNED}), RUNNING),
    "bug_phase": (frozenset({RUNNING}), RUNNING),
    "bug_cancelling": (frozenset({RUNNING}), RUNNING),
    "bug_given_back": (frozenset({ASSIGNED, RUNNING}), PENDING),
    "bug_finished": (frozenset({RUNNING}), None),
    "bug_escalated": (frozenset({PENDING, ASSIGNED, RUNNING}), None),
    "bug_cancelled": (frozenset({PENDING, ASSIGNED, RUNNING}), None),
    "bug_released": (frozenset({PENDING, ASSIGNED, RUNNING, RESERVED}), None),
    "bug_expired": (frozenset({None}), None),
}
"""For each event of a bug: where the bug may stand before, and where it stands then. None: it is
not live."""

NODE_MOVES: Final[Mapping[str, tuple[frozenset[WorkerState | None], WorkerState | None]]] = {
    "node_registered": (frozenset({None, OFFLINE}), READY),
    "node_draining": (frozenset({READY}), STOPPING),
    "node_resumed": (frozenset({STOPPING}), READY),
    "node_lost": (frozenset({READY, STOPPING}), OFFLINE),
    "node_forgotten": (frozenset({OFFLINE}), None),
}

UNJUDGED: Final = frozenset(
    {"node_ejected", "node_readmitted", "node_kept", "strategy_set", "mended", "silence_forgiven"}
    | {"launch_planned", "launch_adopted", "launch_moved", "launch_ended", "launch_failed"}
    | {"scaled", "scaling_restored", "provider_failed"}
)
"""Events that change no state."""

TAKING: Final = frozenset({"bug_assigned", "bug_reserved"})
FORGETTING: Final = frozenset({"bug_released", "bug_expired"})
OVER_KEPT: Final = 10_000
"""Bugs that were live and are not any more, remembered to say when they ended."""


@dataclass(slots=True)
class LiveBug:
    """A bug that has not ended. `since` is the event that brought it to this state; `agents` is
    None for one whose class came before the log."""

    state: BugState
    since: str
    agents: int | None = None
    node: str = ""
    epoch: int = 0


@dataclass(slots=True)
class SeenNode:
    """A node. State and total are None when they came before the log."""

    state: WorkerState | None
    since: str
    total: int | None = None
    held: dict[str, int | None] = field(default_factory=dict)

    @property
    def used(self) -> int:
        """Agents of the bugs that it holds, as far as they are known."""
        return sum(agents or 0 for agents in self.held.values())


class History:
    """Fed with the events of one log in their order, it says what is wrong with each."""

    def __init__(
        self, *, is_whole: bool = True, periods_ms: Mapping[str, int] | None = None
    ) -> None:
        """`periods_ms` names the ticks that must not come closer than that."""
        self.bugs: dict[str, LiveBug] = {}
        self.nodes: dict[str, SeenNode] = {}
        self._is_whole = is_whole
        self._periods_ms = periods_ms or {}
        self._epoch: tuple[int, str] = (0, "")
        self._ticks: dict[str, Event] = {}
        self._over: dict[str, tuple[str, bool]] = {}  # since which event, and is it still kept
        self._wrong: list[str] = []

    @property
    def unfinished(self) -> list[str]:
        """The bugs that have not come to their one end yet."""
        return sorted(self.bugs)

    @property
    def held(self) -> Mapping[str, Mapping[str, int | None]]:
        """Node in service → the bugs that it holds now, with the agents of each."""
        return {name: seen.held for name, seen in self.nodes.items() if seen.state is not OFFLINE}

    def feed(self, event: Event) -> list[str]:
        """What is wrong with this event after all those before it, a line each.

        It is then taken as it is, so that one wrong event is not blamed on those after it.
        """
        if event.action in BUG_MOVES:
            self._bug(event)
        elif event.action in NODE_MOVES:
            self._node(event)
        elif event.action == "tick":
            self._tick(event)
        wrong, self._wrong = self._wrong, []
        return wrong

    def _blame(self, subject: str, event: Event, text: str) -> None:
        self._wrong.append(f"{subject}: {event.action} at event {event.id} {text}")

    # -- bugs ------------------------------------------------------------------------------

    def _bug(self, event: Event) -> None:
        allowed, state = BUG_MOVES[event.action]
        bug, over = self.bugs.get(event.bug), self._over.get(event.bug)
        if bug is None:
            self._check_absent(event, None in allowed, over)
        elif bug.state not in allowed:
            where = f" on node {bug.node}" if bug.node else ""
            self._blame(
                f"bug {event.bug}", event,
                f"came while it was {bug.state}{where} since event {bug.since}",
            )  # fmt: skip
        elif bug.state is not PENDING:
            self._check_holder(event, bug)
        if event.action in TAKING:
            self._check_epoch(event)
        self._move(event, bug, state)

    def _check_absent(self, event: Event, is_allowed: bool, over: tuple[str, bool] | None) -> None:
        """Of a bug that is not live: whether it never was, or has ended, or came before the log."""
        subject = f"bug {event.bug}"
        if over is None:
            if not is_allowed and self._is_whole:
                self._blame(subject, event, "is of a bug that no event before it submitted")
            return
        since, is_kept = over
        if not is_allowed or (event.action == "bug_retried" and not is_kept):
            self._blame(subject, event, f"came after its end at event {since}")
        elif is_kept and event.action in ("bug_submitted", "bug_reserved"):
            self._blame(subject, event, f"came while its end at event {since} was still kept")

    def _check_holder(self, event: Event, bug: LiveBug) -> None:
        if (event.node, int(event.epoch or 0)) != (bug.node, bug.epoch):
            self._blame(
                f"bug {event.bug}", event,
                f"came from node {event.node} with epoch {event.epoch}, and node {bug.node} held "
                f"it with epoch {bug.epoch} since event {bug.since}",
            )  # fmt: skip

    def _check_epoch(self, event: Event) -> None:
        epoch, since = self._epoch
        if int(event.epoch or 0) > epoch:
            self._epoch = (int(event.epoch), event.id)
        else:
            self._blame(
                f"bug {event.bug}", event,
                f"has epoch {event.epoch}, not above epoch {epoch} of event {since}",
            )  # fmt: skip

    def _move(self, event: Event, bug: LiveBug | None, state: BugState | None) -> None:
        if bug is not None and bug.node in self.nodes:
            self.nodes[bug.node].held.pop(event.bug, None)
        if state is None:
            self.bugs.pop(event.bug, None)
            self._over.pop(event.bug, None)
            self._over[event.bug] = (event.id, event.action not in FORGETTING)
            if len(self._over) > OVER_KEPT:
                del self._over[next(iter(self._over))]
            return
        self._over.pop(event.bug, None)
        moved = self.bugs[event.bug] = LiveBug(
            state,
            bug.since if bug and bug.state is state else event.id,
            agents_of(event) or (bug.agents if bug else None),
            "" if state is PENDING else event.node,
            int(event.epoch or 0),
        )
        if moved.node:
            self._hold(event, moved, is_new=bug is None or event.action in TAKING)

    def _hold(self, event: Event, bug: LiveBug, *, is_new: bool) -> None:
        node = self.nodes.get(bug.node)
        if node is None:
            node = self.nodes[bug.node] = SeenNode(None, event.id)
        node.held[event.bug] = bug.agents
        if not is_new:
            return
        if node.state is OFFLINE or (node.state is STOPPING and event.action in TAKING):
            self._blame(
                f"bug {event.bug}", event,
                f"puts it on node {bug.node}, which was {node.state} since event {node.since}",
            )  # fmt: skip
        elif node.state is None and self._is_whole:
            self._blame(
                f"bug {event.bug}", event,
                f"puts it on node {bug.node}, which no event before it registered",
            )  # fmt: skip
        elif node.total is not None and node.used > node.total:
            self._blame(
                f"node {bug.node}", event,
                f"of bug {event.bug} made it hold {node.used} agents of {node.total}, for the bugs "
                f"{', '.join(node.held)}",
            )  # fmt: skip

    # -- nodes and ticks -------------------------------------------------------------------

    def _node(self, event: Event) -> None:
        allowed, state = NODE_MOVES[event.action]
        node = self.nodes.get(event.node) or SeenNode(None, "")
        is_known = node.state is not None or self._is_whole
        if is_known and node.state not in allowed:
            was = f"was {node.state} since event {node.since}" if node.state else "was not known"
            self._blame(f"node {event.node}", event, f"came while it {was}")
        if state is None:
            self.nodes.pop(event.node, None)
            return
        if node.held and event.action in ("node_registered", "node_lost"):
            self._blame(
                f"node {event.node}", event,
                "came while it held "
                + ", ".join(f"bug {bug} (event {self.bugs[bug].since})" for bug in node.held),
            )  # fmt: skip
            node.held = {}
        if event.action == "node_registered":
            node.total = total_of(event)
        node.state, node.since = state, event.id
        self.nodes[event.node] = node

    def _tick(self, event: Event) -> None:
        name = event.detail
        last, self._ticks[name] = self._ticks.get(name), event
        if last is None:
            return
        if int(event.epoch) <= int(last.epoch):
            self._blame(
                f"tick {name}", event,
                f"has term {event.epoch}, not above term {last.epoch} of event {last.id}",
            )  # fmt: skip
        period_ms, gap_ms = self._periods_ms.get(name, 0), event.at_ms - last.at_ms
        if gap_ms < period_ms:
            self._blame(
                f"tick {name}", event,
                f"came {gap_ms} ms after event {last.id}, and its period is {period_ms} ms",
            )  # fmt: skip


def check(
    events: Iterable[Event], *, is_whole: bool = True, periods_ms: Mapping[str, int] | None = None
) -> list[str]:
    """What is wrong with the events, a line each; empty when nothing is."""
    history = History(is_whole=is_whole, periods_ms=periods_ms)
    return [line for event in events for line in history.feed(event)]


def tick_gaps_ms(events: Iterable[Event], name: str) -> list[int]:
    """Between each tick of that name and the next, the time by the store's clock."""
    at_ms = [event.at_ms for event in events if event.action == "tick" and event.detail == name]
    return [later - earlier for earlier, later in pairwise(at_ms)]


def agents_of(event: Event) -> int | None:
    """The agents of the class that an event names: `3` of `3|gpu`."""
    if event.action not in (*TAKING, "bug_submitted", "bug_retried"):
        return None
    return _leading_number(event.detail)


def total_of(event: Event) -> int | None:
    """The agents of a node that registered: `9` of `<incarnation> 9|python`."""
    return _leading_number(event.detail.rpartition(" ")[2])


def _leading_number(text: str) -> int | None:
    number, bar, _ = text.partition("|")
    return int(number) if bar and number.isdigit() else None
