"""The nodes that the demand of a whole window did without."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.domain.scaling.shortage import Shortage, shortage
from fixwurx_celery.domain.scaling.view import (
    Candidate,
    ClusterView,
    Demand,
    ScalingPolicy,
    Supply,
)

__all__ = ["Surplus", "surplus"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surplus:
    """`kept` are the nodes that can go, of the `unneeded` that might; `awaited` others are left
    until demand has stopped falling. `limits` are the bounds that changed it."""

    kept: Sequence[Candidate]
    unneeded: int
    awaited: int
    most_needed: int
    limits: tuple[str, ...]


def surplus(view: ClusterView, policy: ScalingPolicy, short: Shortage) -> Surplus:
    """What can go: the emptiest first, as far as the same demand would start nothing again."""
    peak, spare, awaited = _unneeded(view, policy, short)
    excess = view.nodes - len(view.draining) - policy.max_workers
    most = view.serving - policy.min_workers
    limits = (f"min_workers={policy.min_workers}",) if most < sum(spare.values()) else ()
    chosen: list[Candidate] = []
    for one in sorted(view.candidates, key=_emptiest_first):
        if len(chosen) < excess:  # max_workers was lowered
            limits = (f"max_workers={policy.max_workers}",)
        elif len(chosen) >= most or spare[one.spec.profile] <= 0:
            continue
        chosen.append(one)
        spare[one.spec.profile] -= 1
    enough = short.nodes.total()
    kept = _longest(
        chosen,
        min(len(chosen), max(0, excess)),
        lambda some: shortage(_without(view, some), policy).nodes.total() <= enough,
    )
    return Surplus(
        kept=kept, unneeded=len(chosen), awaited=awaited, most_needed=peak, limits=limits
    )


def _unneeded(
    view: ClusterView, policy: ScalingPolicy, short: Shortage
) -> tuple[int, dict[str, int], int]:
    """The most nodes that the window needed; by profile, how many more there are; and how many of
    those are left until demand has stopped falling."""
    serving: Counter[str] = Counter()
    for supply in view.supply:
        serving[supply.spec.profile] += supply.count
    for spec, count in view.starting.items():
        serving[spec.profile] += count
    total = awaited = 0
    spare: dict[str, int] = {}
    for profile, count in serving.items():
        peak = max([short.needed[profile], *(tick.get(profile, 0) for tick in view.needed)])
        total += peak
        spare[profile] = max(0, count - peak)
        # One step down when the fall is over, in place of one at every tick of it. A fleet that
        # stood mostly idle all the while need not wait for that.
        is_falling = short.needed[profile] < peak
        if is_falling and policy.target * peak >= policy.scale_down_threshold * count:
            awaited += spare[profile]
            spare[profile] = 0
    return total, spare, awaited


def _emptiest_first(one: Candidate) -> tuple[float, float, str]:
    return (one.use, -one.idle_s, one.worker_id)


def _longest(
    chosen: Sequence[Candidate], least: int, is_enough: Callable[[Sequence[Candidate]], bool]
) -> Sequence[Candidate]:
    """The longest beginning of the list, `least` or more, without which there still is enough."""
    low, high = least, len(chosen)
    while low < high:
        middle = (low + high + 1) // 2
        if is_enough(chosen[:middle]):
            low = middle
        else:
            high = middle - 1
    return chosen[:low]


def _without(view: ClusterView, gone: Iterable[Candidate]) -> ClusterView:
    """The cluster once these have left, and as many bugs as they run have come anew."""
    count: Counter[tuple[NodeSpec, int]] = Counter()
    for supply in view.supply:
        count[supply.spec, supply.free] += supply.count
    again: Counter[int] = Counter()
    for node in gone:
        count[node.spec, node.spec.agents - sum(node.holds)] -= 1
        again.update(node.holds)
    return ClusterView(
        supply=[
            Supply(spec=spec, free=free, count=n) for (spec, free), n in count.items() if n > 0
        ],
        starting=view.starting,
        demand=[*view.demand, *(Demand(agents=a, waiting=n) for a, n in again.items())],
        boot_s=view.boot_s,
    )
