"""What a node of the embedded cluster is: its agents and its capabilities."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fixwurx_celery.domain.bugs import AGENTS_PER_BUG, MAX_AGENTS, checked_labels
from fixwurx_celery.errors import ConfigurationError
from fixwurx_celery.settings import Settings

__all__ = ["NodePlan", "NodeSpec"]

MOST_NODES = 64
"""Each costs about 100 MB; who wants more has more hosts, and there nodes are started by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """One node to be started."""

    agents: int
    capabilities: frozenset[str]

    @classmethod
    def parse(cls, text: str, default_capabilities: frozenset[str]) -> "NodeSpec":
        """`9` or `9:python,large-memory`. Raises ValueError that says what is wrong with it."""
        number, colon, labels = text.partition(":")
        if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= MAX_AGENTS:
            raise ValueError(
                f"node {text!r} must begin with its agents, 1 to {MAX_AGENTS}; "
                "write for example 9:python,large-memory"
            )
        names = frozenset(label.strip() for label in labels.split(",") if label.strip())
        if colon and not names:
            raise ValueError(
                f"node {text!r} names no capability after the colon; leave the colon out, or "
                "write for example 9:python,large-memory"
            )
        checked_labels(names, f"node {text!r}: capability")
        return cls(agents=int(number), capabilities=names or default_capabilities)

    def can_run(self, agents: int, requires: frozenset[str]) -> bool:
        """Whether a bug of this class fits on the node when it is empty."""
        return agents <= self.agents and requires <= self.capabilities

    def __str__(self) -> str:
        return f"{self.agents}:{','.join(sorted(self.capabilities))}"


class NodePlan:
    """Which nodes to start: those given, filled up to `count` with usual ones.

    A usual node has the agents that FIXWURX_TOTAL_AGENTS says. Where that is not set, all nodes
    together have about three agents a core (a bug's three are rarely busy at once), because
    time limits run by the wall clock: ten agents a core would let every bug time out.
    """

    def __init__(
        self, settings: Settings, count: int | None = None, given: Sequence[str] = ()
    ) -> None:
        """Raises ConfigurationError."""
        problems: list[str] = []
        self._given: list[NodeSpec] = []
        for text in given:
            try:
                self._given.append(NodeSpec.parse(text, settings.capabilities))
            except ValueError as error:
                problems.append(f"--node: {error}")
        if count is not None and count < len(given):
            problems.append(
                f"--nodes {count} is fewer than the {len(given)} given with --node; leave --nodes "
                "out"
            )
        if not 1 <= (count or 1) <= MOST_NODES or len(given) > MOST_NODES:
            problems.append(f"there are 1 to {MOST_NODES} nodes; give that many")
        if problems:
            raise ConfigurationError(problems)
        default = settings.total_agents
        self._count = count or len(given) or max(1, min(8, -(-3 * cores() // default)))
        self._is_sized = "FIXWURX_TOTAL_AGENTS" in os.environ
        agents = default
        if not self._is_sized:
            agents = max(AGENTS_PER_BUG, min(default, 3 * cores() // self._count))
        self._most = default
        self._usual = NodeSpec(agents=agents, capabilities=settings.capabilities)

    def nodes(self, largest_bug: int = AGENTS_PER_BUG) -> list[NodeSpec]:
        """The nodes. One of the usual ones is made to hold the largest bug, within the default."""
        usual = [self._usual] * (self._count - len(self._given))
        largest = max(node.agents for node in self._given + usual)
        if usual and not self._is_sized and largest < largest_bug <= self._most:
            usual[0] = replace(self._usual, agents=largest_bug)
        return self._given + usual


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
