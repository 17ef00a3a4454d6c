"""What a node of the embedded cluster is: its agents and its capabilities."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from fixwurx_celery.domain.bugs import MAX_AGENTS, checked_labels
from fixwurx_celery.errors import ConfigurationError
from fixwurx_celery.settings import Settings

__all__ = ["NodeSpec", "planned_nodes"]

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


def planned_nodes(
    settings: Settings, count: int | None = None, given: Sequence[str] = ()
) -> list[NodeSpec]:
    """The nodes to start: those given, filled up to `count` with nodes as the settings say.

    Without a count: those given, or else as many as have at least one agent a core together.
    Raises ConfigurationError.
    """
    problems: list[str] = []
    specs: list[NodeSpec] = []
    for text in given:
        try:
            specs.append(NodeSpec.parse(text, settings.capabilities))
        except ValueError as error:
            problems.append(f"--node: {error}")
    usual = NodeSpec(agents=settings.total_agents, capabilities=settings.capabilities)
    if count is None:
        count = len(given) or max(1, min(8, -(-cores() // usual.agents)))
    if count < len(given):
        problems.append(
            f"--nodes {count} is fewer than the {len(given)} given with --node; leave --nodes out"
        )
    if not 1 <= count <= MOST_NODES:
        problems.append(f"--nodes {count} must lie between 1 and {MOST_NODES}")
    if problems:
        raise ConfigurationError(problems)
    return specs + [usual] * (count - len(specs))


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
