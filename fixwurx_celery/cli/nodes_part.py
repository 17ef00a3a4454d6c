"""The nodes in the picture of a cluster: those in trouble first, and how busy each is."""

import re
import sys
from collections import Counter
from typing import Final

from fixwurx_celery.cli.part import Part
from fixwurx_celery.cli.table import Column, age, drawn
from fixwurx_celery.cli.terminal import fitting, shortened
from fixwurx_celery.domain.nodes import WorkerNode, WorkerState
from fixwurx_celery.domain.words import counted
from fixwurx_celery.store import Snapshot

__all__ = ["bar", "natural", "nodes_part"]

NODES: Final = [
    Column(title="node", is_flexible=True),
    Column(title="state", least=8),
    Column(title="agents", is_right=True),
    Column(title="", is_optional=True),  # the same, drawn
    Column(title="health", is_right=True, is_optional=True),
    Column(title="seen", is_right=True, is_optional=True, least=6),
    Column(title="capabilities", is_flexible=True, is_optional=True),
]
WIDEST_BAR: Final = 12
SICK: Final = 0.5
"""A node of this health or less is only probed."""
IN_TIME_MS: Final = 3000
NUMBER = re.compile(r"(\d+)")


def nodes_part(snapshot: Snapshot, columns: int | None) -> Part:
    """The nodes, those in trouble first."""
    nodes = [one for one in snapshot.with_starting if one.state is not WorkerState.OFFLINE]
    if not nodes:
        return Part([shortened("no node is in service", columns or 80)], 1, lambda _: "")
    nodes.sort(key=lambda node: (not is_troubled(node), natural(node.worker_id)))
    rows = [node_cells(node, snapshot) for node in nodes]

    def rest(shown: int) -> str:
        left = nodes[shown:]
        states = Counter(str(node.state) for node in left)
        busy = sum(node.total_agents - node.free_agents for node in left)
        parts = [
            (0, f"and {counted(len(left), 'more node')}" if shown else f"{len(left)} nodes"),
            (2, ", ".join(f"{count} {state}" for state, count in states.most_common())),
            (1, f"{busy} of {sum(node.total_agents for node in left)} agents busy"),
        ]
        return fitting(parts, columns)

    return Part(drawn(NODES, rows, columns), 1, rest)


def is_troubled(node: WorkerNode) -> bool:
    """Whether somebody may want to look at it."""
    return node.state not in (WorkerState.READY, WorkerState.BUSY) or node.health <= SICK


def natural(name: str) -> list[tuple[int, str]]:
    """By what people put names in order: node2 comes before node10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in NUMBER.split(name)]


def node_cells(node: WorkerNode, snapshot: Snapshot) -> list[object]:
    """The row of a node."""
    busy = node.total_agents - node.free_agents
    if node.state is WorkerState.STARTING:
        return [node.worker_id, node.state, f"-/{node.total_agents}", "", "-", "-", ""]
    stage = snapshot.stage_of(node.worker_id)
    return [
        node.worker_id,
        "STOPPING" if stage in ("draining", "stopping") else node.state,
        f"{busy}/{node.total_agents}",
        bar(busy, node.total_agents),
        f"{node.health:.2f}",
        seen(snapshot.now_ms - node.last_heartbeat * 1000),
        ",".join(sorted(node.capabilities)),
    ]


def seen(ms: float) -> str:
    """When its heart last beat; one that beats in time is just there."""
    return "now" if ms < IN_TIME_MS else age(ms)


def bar(busy: int, total: int) -> str:
    """How much of it is taken, drawn; an agent a character as long as that is short."""
    full, empty = (
        ("▮", "▯") if (sys.stdout.encoding or "").lower().startswith("utf") else ("#", ".")
    )
    if total > WIDEST_BAR:  # what is taken is seen, and what is free
        busy = max(busy > 0, min(WIDEST_BAR - (busy < total), round(busy * WIDEST_BAR / total)))
        total = WIDEST_BAR
    return full * busy + empty * (total - busy)
