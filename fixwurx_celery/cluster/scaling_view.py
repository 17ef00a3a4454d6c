"""The view on which a scaling decision rests, made of what the store says."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from fixwurx_celery.domain.nodes import LaunchStage, NodeSpec
from fixwurx_celery.domain.scaling import Candidate, ClusterView, Demand, Draining, Supply
from fixwurx_celery.store.scaling_state import Observation

__all__ = ["view_of"]


def view_of(seen: Observation, *, scope: str | None, may_launch: bool = True) -> ClusterView:
    """What the policy looks at. Only nodes of this provider's `scope` may be scaled in. After a
    failure nodes may be launched one at a time; none at all unless `may_launch`."""
    draining: list[Draining] = []
    starting: Counter[str] = Counter()
    others = seen.others
    serving = {node.worker_id: node for node in seen.nodes}
    in_supply = serving.keys() | {node.worker_id for node in seen.candidates}
    for launch in seen.launches.values():
        match launch.stage:
            case LaunchStage.STARTING if launch.node not in in_supply:
                starting[launch.profile] += 1
            case LaunchStage.DRAINING if launch.node in serving and launch.scope == scope:
                spec = _spec(launch.profile)
                held = spec.agents - serving[launch.node].free
                draining.append(Draining(worker_id=launch.node, spec=spec, held=held))
            case LaunchStage.DRAINING | LaunchStage.STOPPING:
                others += 1  # on its way out
            case LaunchStage.READY if launch.node not in in_supply:
                others += 1  # silent
    return ClusterView(
        supply=[
            Supply(spec=_spec(profile), free=free, count=count)
            for (profile, free), count in sorted(seen.supply.items())
        ],
        starting={_spec(profile): count for profile, count in sorted(starting.items())},
        draining=draining,
        candidates=[
            Candidate(
                worker_id=node.worker_id,
                spec=_spec(node.profile),
                holds=tuple(sorted(node.holds)),
                idle_s=0.0 if node.bugs else (seen.now_ms - node.idle_ms) / 1000,
            )
            for node in seen.candidates
            if seen.launches[node.worker_id].scope == scope
        ],
        others=others,
        demand=[
            _demand(name, count, seen.run_ms.get(name))
            for name, count in sorted(seen.waiting.items())
            if count
        ],
        needed=seen.needed,
        boot_s=_typical(seen.boots_ms),
        may_launch=0 if not may_launch else 1 if seen.failures else None,
        trouble=(
            "no provider that could"
            if not may_launch
            else "one at a time, after a failure"
            if seen.failures
            else ""
        ),
    )


_spec = lru_cache(1024)(NodeSpec.of_profile)


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
