"""The cluster as it is simulated: nodes that start, serve, drain and go, and the bugs in line.

    STARTING ──ready──▶ serving ──drain──▶ draining ──empty──▶ gone
                           ▲                  │
                           └──────resume──────┘

A bug goes to the node with the highest free share of its agents, then the most of them free, then
the one chosen longest ago, as the store's WEIGHTED_CAPACITY does among healthy nodes; with none
free it waits in the line of its class. A node that frees agents takes the head that came first.
A draining node takes no bug and ends those that it has; they are not moved. Not simulated:
priorities, the reservation for a class that starves, failures, and the time of a hand-over.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.simulation.trace import Arrival

__all__ = ["BugClass", "Fleet", "Node"]

BugClass = tuple[int, frozenset[str]]
"""The agents that a bug takes, and the labels that it requires."""


@dataclass(slots=True, kw_only=True)
class Node:
    """One node. `holds` has the agents of each bug on it, by the bug's number."""

    name: str
    spec: NodeSpec
    launched_s: float
    free: int
    ready_s: float | None = None
    idle_since_s: float = 0.0
    is_draining: bool = False
    last_used: int = 0
    holds: dict[int, int] = field(default_factory=dict)

    @property
    def is_serving(self) -> bool:
        """Whether it takes bugs."""
        return self.ready_s is not None and not self.is_draining


class Fleet:
    """Nodes and waiting bugs. `on_start(bug, node)` and `on_stop(node)` are told of each."""

    def __init__(
        self,
        arrivals: list[Arrival],
        on_start: Callable[[int, Node], None],
        on_stop: Callable[[Node], None],
        *,
        is_packing: bool = False,
    ) -> None:
        """`is_packing` puts bugs on the fullest node that has room, in place of the emptiest."""
        self.arrivals = arrivals
        self.nodes: dict[str, Node] = {}
        self.lines: dict[BugClass, deque[int]] = {}
        self._on_start, self._on_stop = on_start, on_stop
        self._is_packing = is_packing
        self._launched = self._chosen = 0

    # -- what is there -------------------------------------------------------------------------

    @property
    def serving(self) -> list[Node]:
        """Nodes that take bugs, oldest first."""
        return [node for node in self.nodes.values() if node.is_serving]

    @property
    def starting(self) -> list[Node]:
        """Nodes that were launched and are not ready, oldest first."""
        return [node for node in self.nodes.values() if node.ready_s is None]

    @property
    def draining(self) -> list[Node]:
        """Nodes that end what they have, oldest first."""
        return [node for node in self.nodes.values() if node.is_draining]

    @property
    def waiting(self) -> int:
        """Bugs in line."""
        return sum(len(line) for line in self.lines.values())

    @property
    def running(self) -> int:
        """Bugs at work."""
        return sum(len(node.holds) for node in self.nodes.values())

    # -- bugs ----------------------------------------------------------------------------------

    def submit(self, bug: int) -> None:
        """Starts the bug, or puts it in line."""
        one = self.arrivals[bug]
        fitting = [
            node
            for node in self.nodes.values()
            if node.free >= one.agents
            and node.is_serving
            and one.requires <= node.spec.capabilities
        ]
        if not fitting:
            self.lines.setdefault((one.agents, one.requires), deque()).append(bug)
        elif self._is_packing:
            self._start(bug, min(fitting, key=lambda node: (node.free, node.last_used)))
        else:
            self._start(
                bug,
                min(
                    fitting,
                    key=lambda node: (-node.free / node.spec.agents, -node.free, node.last_used),
                ),
            )

    def end(self, bug: int, node: Node, now_s: float) -> None:
        """Takes a bug that has ended off its node, which takes the next or, draining, goes."""
        node.free += node.holds.pop(bug)
        if not node.holds:
            node.idle_since_s = now_s
        if node.is_draining:
            self._stop_if_empty(node)
        else:
            self._fill(node)

    def _start(self, bug: int, node: Node) -> None:
        agents = self.arrivals[bug].agents
        node.free -= agents
        node.holds[bug] = agents
        self._chosen += 1
        node.last_used = self._chosen
        self._on_start(bug, node)

    def _fill(self, node: Node) -> None:
        while heads := list(self._heads(node)):
            bug, line = min(heads, key=lambda head: head[0])
            line.popleft()
            self._start(bug, node)

    def _heads(self, node: Node) -> Iterator[tuple[int, deque[int]]]:
        for (agents, requires), line in self.lines.items():
            if line and agents <= node.free and requires <= node.spec.capabilities:
                yield line[0], line

    # -- nodes ---------------------------------------------------------------------------------

    def launch(self, spec: NodeSpec, now_s: float) -> Node:
        """A node that starts."""
        self._launched += 1
        node = Node(name=f"n{self._launched}", spec=spec, launched_s=now_s, free=spec.agents)
        self.nodes[node.name] = node
        return node

    def ready(self, node: Node, now_s: float) -> None:
        """The node serves from now on, unless it was stopped before."""
        if node.name in self.nodes:
            node.ready_s = node.idle_since_s = now_s
            self._fill(node)

    def drain(self, name: str) -> None:
        """The node takes no more bugs; one without bugs goes at once, also while it starts."""
        node = self.nodes[name]
        node.is_draining = True
        self._stop_if_empty(node)

    def resume(self, name: str) -> None:
        """A draining node serves again."""
        node = self.nodes[name]
        node.is_draining = False
        self._fill(node)

    def _stop_if_empty(self, node: Node) -> None:
        if not node.holds:
            del self.nodes[node.name]
            self._on_stop(node)
