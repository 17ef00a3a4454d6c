"""What the store answers, made up: for whatever judges or draws it."""

from collections.abc import Mapping
from typing import Any

from fixwurx_celery.domain.nodes import BalancingStrategy, WorkerNode, WorkerState
from fixwurx_celery.store import Snapshot

NOW_MS = 1_800_000_000_000


def node(name: str = "node1@host", **given: Any) -> WorkerNode:
    """A node of nine agents, well and idle."""
    facts: dict[str, Any] = {
        "state": WorkerState.READY,
        "total_agents": 9,
        "free_agents": 9,
        "last_heartbeat": NOW_MS / 1000,
        "capabilities": frozenset({"python"}),
    }
    return WorkerNode(worker_id=name, **{**facts, **given})


def snapshot(*nodes: WorkerNode, waiting: Mapping[str, int] | None = None) -> Snapshot:
    """A cluster of these nodes; `waiting` bugs by class, their heads for 5 s."""
    return Snapshot(
        now_ms=NOW_MS,
        strategy=BalancingStrategy.RANDOM,
        nodes=nodes,
        lines=[
            {"class": name, "waiting": count, "head": f"b-{name}", "head_since_ms": NOW_MS - 5000}
            for name, count in (waiting or {}).items()
        ],
        stats={},
        live_nodes=len(nodes),
        delayed=0,
        finished=0,
        launches={},
    )
