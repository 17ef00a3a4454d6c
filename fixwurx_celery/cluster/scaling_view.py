"""The view on which a scaling decision rests, made of what the store says."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from heapq import nsmallest
from typing import Final

from fixwurx_celery.domain.nodes import LaunchStage, NodeSpec
from fixwurx_celery.domain.scaling import Candidate, ClusterView, Demand, Draining, Supply
from fixwurx_celery.store.scaling_state import Observation, ServingNode

__all__ = ["view_of"]

MOST_CANDIDATES: Final = 100
"""Nodes that one tick looks at for scaling in, the emptiest: the next tick goes on."""


def view_of(seen: Observation, *, scope: str | None, trouble: str = "") -> ClusterView:
    """What the policy looks at. Only nodes of this provider's `scope` may be scaled in; with
    `trouble` nothing may be launched."""
    supply: Counter[tuple[str, int]] = Counter()
    candidates: list[ServingNode] = []
    draining: list[Draining] = []
    others = 0
    serving = set()
    for node in seen.nodes:
        serving.add(node.worker_id)
        launch = seen.launches.get(node.worker_id)
        is_ours = launch is not None and launch.scope == scope
        stage = launch.stage if launch is not None else LaunchStage.READY
        if stage is LaunchStage.DRAINING and is_ours:
            draining.append(
                Draining(
                    worker_id=node.worker_id,
                    spec=_spec(node.profile),
                    holds=tuple(sorted(node.holds)),
                )
            )
        elif node.state != "READY" or stage in (LaunchStage.DRAINING, LaunchStage.STOPPING):
            others += 1
        else:
            supply[node.profile, node.free] += 1
            if is_ours:
                candidates.append(node)
    starting: Counter[str] = Counter()
    for launch in seen.launches.values():
        if launch.node in serving:
            continue
        if launch.stage is LaunchStage.STARTING:
            starting[launch.profile] += 1
        else:
            others += 1  # on its way out, or silent
    return ClusterView(
        supply=[
            Supply(spec=_spec(profile), free=free, count=count)
            for (profile, free), count in sorted(supply.items())
        ],
        starting={_spec(profile): count for profile, count in sorted(starting.items())},
        draining=draining,
        candidates=[
            Candidate(
                worker_id=node.worker_id,
                spec=_spec(node.profile),
                holds=tuple(sorted(int(agents) for agents in node.holds)),
                idle_s=0.0 if node.bugs else (seen.now_ms - node.idle_ms) / 1000,
            )
            for node in nsmallest(MOST_CANDIDATES, candidates, key=_emptiest_first)
        ],
        others=others,
        demand=[
            _demand(name, count, seen.run_ms.get(name))
            for name, count in sorted(seen.waiting.items())
            if count
        ],
        needed=seen.needed,
        boot_s=_typical(seen.boots_ms),
        may_launch=0 if trouble else 1 if seen.failures else None,
        trouble=trouble or ("one at a time, after a failure" if seen.failures else ""),
    )


_spec = lru_cache(1024)(NodeSpec.of_profile)


def _emptiest_first(node: ServingNode) -> tuple[float, int, str]:
    total = _spec(node.profile).agents
    return ((total - node.free) / total, node.idle_ms, node.worker_id)


def _demand(bug_class: str, waiting: int, run_ms: int | None) -> Demand:
    spec = _spec(bug_class)
    return Demand(
        agents=spec.agents,
        requires=spec.capabilities,
        waiting=waiting,
        run_s=None if run_ms is None else run_ms / 1000,
    )


def _typical(boots_ms: Sequence[int]) -> float | None:
    """The median: one that took long is no reason to expect it of the next."""
    measured = sorted(boots_ms)
    return measured[len(measured) // 2] / 1000 if measured else None
