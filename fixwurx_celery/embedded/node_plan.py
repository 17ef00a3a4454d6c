"""Which nodes the embedded cluster starts."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from fixwurx_celery.domain.bugs import AGENTS_PER_BUG
from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.errors import ConfigurationError
from fixwurx_celery.settings import Settings

__all__ = ["MOST_NODES", "Growth", "NodePlan"]

MOST_NODES: Final = 64
"""Each costs about 100 MB; who wants more has more hosts, and there nodes are started by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What may be added while there is more to do: nodes of these kinds, the usual one first, as
    long as there are fewer than `most`; and until there are `least`. Settled every `interval_s`; a
    node goes when for `window_s` fewer sufficed, by default soon: one costs a second to start here,
    and is wanted for a run of minutes."""

    most: int
    specs: tuple[NodeSpec, ...]
    least: int = 0
    interval_s: float = 1.0
    window_s: float = 20.0


class NodePlan:
    """Which nodes to start: those given, filled up to `count` with usual ones; and up to `most` of
    the latter when they are needed.

    A usual node has the agents that FIXWURX_TOTAL_AGENTS says. Where that is not set, all nodes
    together have about three agents a core (a bug's three are rarely busy at once), because
    time limits run by the wall clock: ten agents a core would let every bug time out.
    """

    def __init__(
        self,
        settings: Settings,
        count: int | None = None,
        given: Sequence[str] = (),
        *,
        most: int | None = None,
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
        # None at first is enough where others can be added.
        fewest, at_first = (0 if most else 1), (1 if count is None else count)
        at_most = most or max(at_first, len(given))
        if not fewest <= at_first <= at_most <= MOST_NODES:
            problems.append(f"there are 1 to {MOST_NODES} nodes; give that many")
        if problems:
            raise ConfigurationError(problems)
        default = settings.total_agents
        if count is None:
            count = len(given) or max(1, min(8, -(-3 * cores() // default)))
        self._count = count
        self._most_nodes = max(most or 0, self._count)
        self._is_sized = "FIXWURX_TOTAL_AGENTS" in os.environ
        agents = default
        if not self._is_sized:
            agents = max(AGENTS_PER_BUG, min(default, 3 * cores() // self._most_nodes))
        self._most = default
        self._usual = NodeSpec(agents=agents, capabilities=settings.capabilities)

    def nodes(self, largest_bug: int = AGENTS_PER_BUG) -> list[NodeSpec]:
        """The nodes. One of the usual ones is made to hold the largest bug, within the default."""
        usual = [self._usual] * (self._count - len(self._given))
        largest = max((node.agents for node in self._given + usual), default=0)
        if usual and not self._is_sized and largest < largest_bug <= self._most:
            usual[0] = replace(self._usual, agents=largest_bug)
        return self._given + usual

    def growth(self, largest_bug: int = AGENTS_PER_BUG) -> Growth | None:
        """What may be added; None where the number of nodes is fixed."""
        if self._most_nodes == self._count:
            return None
        # Where the largest bug needs a larger node than usual, more of those may be needed too.
        kinds = dict.fromkeys([self._usual, *self.nodes(largest_bug)[len(self._given) :]])
        return Growth(most=self._most_nodes, specs=tuple(kinds))


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
