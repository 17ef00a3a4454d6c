"""What the demand asks for beyond the nodes that are there or start."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.domain.scaling.view import ClusterView, Demand, ScalingPolicy

__all__ = ["Shortage", "shortage"]


@dataclass(slots=True)
class Shortage:
    """The nodes to add by spec, `headroom` of them for utilisation alone; and what is needed at
    all, by profile."""

    nodes: Counter[NodeSpec] = field(default_factory=Counter)
    needed: dict[str, int] = field(default_factory=dict)
    impossible: list[str] = field(default_factory=list)
    headroom: int = 0


def shortage(view: ClusterView, policy: ScalingPolicy) -> Shortage:
    """Places the waiting bugs, those hardest to place first, and counts the nodes for the rest.

    A bug that is known to be short does not need a node of its own: agents that will be free, or
    free again, before a new node could have started serve it sooner; or within the time that bugs
    may wait.
    """
    result = Shortage()
    room: Counter[tuple[NodeSpec, int]] = Counter()
    load: Counter[NodeSpec] = Counter()
    total: Counter[NodeSpec] = Counter()
    for one in view.supply:
        room[one.spec, one.free] += one.count
        load[one.spec] += (one.spec.agents - one.free) * one.count
        total[one.spec] += one.count
    for spec, count in view.starting.items():
        room[spec, spec.agents] += count
        total[spec] += count
    horizon_s = max(view.boot_s or 0.0, policy.acceptable_wait_s)
    busy = {spec: float(agents) for spec, agents in load.items()}

    for demand in sorted(view.demand, key=lambda one: (-len(one.requires), -one.agents)):
        turns = max(1.0, horizon_s / demand.run_s) if demand.run_s else 1.0
        left = float(demand.waiting)
        left -= _place(demand, left, turns, room, load)
        left -= _await(demand, left, horizon_s, busy)
        if left < 1e-6:
            continue
        best = _best_spec(demand, policy.specs)
        if best is None:
            # Bugs that an existing node serves wait for that one; others wait for good.
            if not any(one.can_run(demand.agents, demand.requires) for one in total):
                result.impossible.append(str(demand))
            continue
        count = math.ceil(left / (best.agents // demand.agents * turns))
        result.nodes[best] += count
        total[best] += count
        room[best, best.agents] += count
        _place(demand, left, turns, room, load)

    agents = sum(spec.agents * count for spec, count in total.items())
    at_work = sum(load.values())
    missing = math.ceil(at_work / policy.target - agents - 1e-6)
    # Where nodes are started for bugs anyway, those for the headroom are started with them.
    is_tight = bool(result.nodes) or at_work > policy.most_use * agents + 1e-6
    if missing > 0 and is_tight and policy.specs:
        result.headroom = math.ceil(missing / policy.specs[0].agents)
        result.nodes[policy.specs[0]] += result.headroom
        total[policy.specs[0]] += result.headroom
    # What a draining node ends is demand that will come to the others.
    for leaving in view.draining:
        load[leaving.spec] += leaving.held
    for spec, count in total.items():
        enough = math.ceil(load[spec] / (spec.agents * policy.target) - 1e-6)
        result.needed[spec.profile] = count if result.nodes[spec] else min(count, enough)
    return result


def _place(
    demand: Demand,
    left: float,
    turns: float,
    room: Counter[tuple[NodeSpec, int]],
    load: Counter[NodeSpec],
) -> float:
    """Puts bugs on free agents, on the least capable nodes first; how many. Each place serves
    `turns` of them."""
    placed = 0.0
    fitting = [
        (spec, free)
        for spec, free in room
        if free >= demand.agents and spec.can_run(demand.agents, demand.requires)
    ]
    for spec, free in sorted(fitting, key=lambda one: (len(one[0].capabilities), one[1])):
        if left - placed < 1e-6:
            break
        per_node = free // demand.agents
        places = min(room[spec, free] * per_node, math.ceil((left - placed) / turns))
        placed += min(left - placed, places * turns)
        load[spec] += places * demand.agents
        full, rest = divmod(places, per_node)
        room[spec, free] -= full + bool(rest)
        room[spec, free - per_node * demand.agents] += full
        if rest:
            room[spec, free - rest * demand.agents] += 1
    return placed


def _await(demand: Demand, left: float, horizon_s: float, busy: dict[NodeSpec, float]) -> float:
    """Leaves bugs to agents at work that will be free within that time; how many."""
    if not demand.run_s or not horizon_s:
        return 0.0
    turns = horizon_s / demand.run_s
    awaited = 0.0
    for spec in busy:
        if left - awaited > 0 and spec.can_run(demand.agents, demand.requires):
            count = min(left - awaited, busy[spec] / demand.agents * turns)
            awaited += count
            busy[spec] -= count * demand.agents / turns
    return awaited


def _best_spec(demand: Demand, specs: Sequence[NodeSpec]) -> NodeSpec | None:
    """The kind of node to start for it: that with the fewest labels it does not ask for, then that
    which wastes the smallest share of its agents on it, then as the operator ordered them."""
    fitting = [spec for spec in specs if spec.can_run(demand.agents, demand.requires)]
    return min(
        fitting,
        key=lambda spec: (
            len(spec.capabilities - demand.requires),
            (spec.agents % demand.agents) / spec.agents,
        ),
        default=None,
    )
