"""How many nodes there should be: a pure function of what is seen and of what was needed before.

    observe ──▶ ClusterView ──decide()──▶ ScalingDecision, with its reason ──▶ act, record

Demand is counted in agents: those at work, and those that waiting bugs will take. Up at once,
nodes that still start counting as there. Down only by what the whole window did without, emptiest
first, and never so far that the same demand would start a node again; and while demand still falls
not at all, unless most of the fleet stands idle: one step down in place of many.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.domain.scaling.shortage import Shortage, shortage
from fixwurx_celery.domain.scaling.surplus import Surplus, surplus
from fixwurx_celery.domain.scaling.view import (
    Candidate,
    ClusterView,
    ScalingPolicy,
)
from fixwurx_celery.domain.words import counted

__all__ = ["ScalingDecision", "decide"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingDecision:
    """What to do, and why. `wanted` is the number of nodes before any limit, `limits` are those
    that changed it; `needed` is by profile, for the ticks to come; `impossible` is demand that no
    node serves and none can be started for."""

    launch: tuple[NodeSpec, ...] = ()
    resume: tuple[str, ...] = ()
    drain: tuple[str, ...] = ()
    reason: str
    nodes: int
    wanted: int
    limits: tuple[str, ...] = ()
    needed: Mapping[str, int] = field(default_factory=dict)
    impossible: tuple[str, ...] = ()

    @property
    def is_change(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.launch or self.resume or self.drain)

    @property
    def action(self) -> str:
        """`out`, `in`, or `hold`."""
        return "out" if self.launch or self.resume else "in" if self.drain else "hold"

    def as_dict(self) -> dict[str, Any]:
        """As JSON types, keys as named here."""
        return {
            "action": self.action,
            "reason": self.reason,
            "nodes": self.nodes,
            "wanted": self.wanted,
            "limits": list(self.limits),
            "launch": [spec.profile for spec in self.launch],
            "resume": list(self.resume),
            "drain": list(self.drain),
            "needed": dict(self.needed),
            "impossible": list(self.impossible),
        }


def decide(view: ClusterView, policy: ScalingPolicy) -> ScalingDecision:
    """What to do about the cluster as it is seen."""
    short = shortage(view, policy)
    if short.nodes or view.serving < policy.min_workers:
        return _out(view, policy, short)
    return _in(view, policy, short)


# -- out ---------------------------------------------------------------------------------------


def _out(view: ClusterView, policy: ScalingPolicy, short: Shortage) -> ScalingDecision:
    limits: list[str] = []
    wanted = Counter(short.nodes)
    fewest = policy.min_workers - view.serving
    if wanted.total() < fewest and policy.specs:
        wanted[policy.specs[0]] += fewest - wanted.total()
        limits.append(f"min_workers={policy.min_workers}")
    wanted_nodes = view.nodes + wanted.total()
    resumed: list[str] = []
    for one in view.draining:  # no boot to wait for
        if wanted[one.spec]:
            wanted[one.spec] -= 1
            wanted_nodes -= 1
            resumed.append(one.worker_id)
    # Those with labels that the usual one has not are asked for by bugs that nothing else serves.
    launch = [spec for spec in sorted(wanted, key=_is_usual(policy)) for _ in range(wanted[spec])]
    room = max(0, policy.max_workers - view.nodes)
    drain: Sequence[Candidate] = ()
    if len(launch) > room:
        limits.append(f"max_workers={policy.max_workers}")
        launch = launch[:room]
        drain = surplus(view, policy, short).kept  # nodes of another kind may stand in the way
    if view.may_launch is not None and len(launch) > view.may_launch:
        limits.append(view.trouble)
        launch = launch[: view.may_launch]
    return ScalingDecision(
        launch=tuple(launch),
        resume=tuple(resumed),
        drain=tuple(one.worker_id for one in drain),
        reason=_why_out(view, policy, short, len(launch), len(resumed), drain, limits),
        nodes=view.nodes,
        wanted=wanted_nodes,
        limits=tuple(limits),
        needed=short.needed,
        impossible=tuple(short.impossible),
    )


def _is_usual(policy: ScalingPolicy) -> Callable[[NodeSpec], bool]:
    return lambda spec: spec == policy.specs[0]


def _why_out(
    view: ClusterView,
    policy: ScalingPolicy,
    short: Shortage,
    launched: int,
    resumed: int,
    drained: Sequence[Candidate],
    limits: Sequence[str],
) -> str:
    there = _situation(view)
    parts = []
    if launched:
        parts.append(f"{counted(launched, 'node')} to start")
    if resumed:
        parts.append(f"{counted(resumed, 'draining node')} to serve again")
    if drained:
        parts.append(f"{counted(len(drained), 'node')} of another kind to make room")
    what = " and ".join(parts) or "nothing to start"
    why = f"{counted(sum(short.nodes.values()), 'more node')} wanted"
    if short.headroom:
        why += f", {short.headroom} of them to stay within {policy.target:.0%} of the agents"
    if not short.nodes:
        why = f"{counted(view.serving, 'node')} there"
    limited = f" ({', '.join(limits)})" if limits else ""
    return f"{there}: {why}; {what}{limited}{_say_impossible(short)}"


# -- in ----------------------------------------------------------------------------------------


def _in(view: ClusterView, policy: ScalingPolicy, short: Shortage) -> ScalingDecision:
    """Drains what the whole window did without, as far as nothing would be started again."""
    spare = surplus(view, policy, short)
    return ScalingDecision(
        drain=tuple(one.worker_id for one in spare.kept),
        reason=_why_in(view, policy, short, spare),
        nodes=view.nodes,
        wanted=min(view.serving, sum(short.needed.values())),
        limits=spare.limits,
        needed=short.needed,
        impossible=tuple(short.impossible),
    )


def _why_in(
    view: ClusterView,
    policy: ScalingPolicy,
    short: Shortage,
    spare: Surplus,
) -> str:
    there = _situation(view)
    most = counted(spare.most_needed, "node")
    needed = f"the last {policy.window_s:g} s needed up to {most}"
    if spare.kept:
        idle = len(list(takewhile(lambda one: not one.holds, spare.kept)))
        busy = len(spare.kept) - idle
        which = f"{counted(idle, 'idle node')}" if idle else ""
        if busy:
            which += f"{' and ' if idle else ''}{busy} that first end what they run"
        what = f"{which} to go"
    elif spare.unneeded:
        what = "nothing to do: one node fewer would be started again"
    elif spare.awaited:
        what = f"{counted(spare.awaited, 'node')} too many, left until demand stops falling"
    else:
        what = "nothing to do"
    return f"{there}: {needed}; {what}{_say_impossible(short)}"


# -- words -------------------------------------------------------------------------------------


def _situation(view: ClusterView) -> str:
    serving = (
        f"{view.held_agents} of {counted(view.total_agents, 'agent')} on "
        f"{counted(view.in_service, 'node')} at work"
    )
    starting = sum(view.starting.values())
    if starting:
        serving += f", {counted(starting, 'node')} starting"
    waiting = sum(one.waiting for one in view.demand)
    if waiting:
        serving += (
            f", {counted(waiting, 'bug')} waiting for {counted(view.waiting_agents, 'agent')}"
        )
    return serving


def _say_impossible(short: Shortage) -> str:
    if not short.impossible:
        return ""
    return f"; no node can be started for {', '.join(short.impossible)}"
