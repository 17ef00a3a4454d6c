"""What a scaling tick must put right before it decides: a pure comparison of three lists.

What the controllers meant (launches), what the provider has, and which nodes serve. Each tick
compares them anew, so it does not matter where an earlier one died.

    launched ──▶ STARTING ──registers──▶ READY ──scaled in──▶ DRAINING ──empty──▶ STOPPING ──▶ gone
                    │  in time, or not at all: removed          │  demand is back: READY
                    ▼                                           ▼
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from fixwurx_celery.domain.nodes import LaunchStage, NodeSpec
from fixwurx_celery.providers import ProvidedNode, ProvidedState
from fixwurx_celery.store.records import Launch
from fixwurx_celery.store.scaling_state import Observation, ServingNode

__all__ = ["Step", "StepKind", "reconcile"]

QUICK_END_S: Final = 60.0
"""A node that ends by itself so soon after it registered was of no use."""


class StepKind(StrEnum):
    """What is to be done with one node."""

    ADOPT = "ADOPT"  # remember it
    ADOPT_STOPPING = "ADOPT_STOPPING"  # and that it is about to end
    LAUNCH = "LAUNCH"  # ask the provider once more
    DRAIN = "DRAIN"  # give it no more bugs
    STOP = "STOP"  # tell it to end
    REMOVE = "REMOVE"  # kill it, if it runs, and forget it
    FAIL = "FAIL"  # remove it, and count that as a failure
    FORGET = "FORGET"  # nothing is there any more
    SETTLE = "SETTLE"  # it serves
    AWAIT = "AWAIT"  # it ran and has fallen silent: so long as it takes to boot, it may come back


STRANGERS: Final = {
    ProvidedState.STARTING: (StepKind.ADOPT, "nobody remembers it"),
    ProvidedState.RUNNING: (StepKind.ADOPT, "nobody remembers it"),
    ProvidedState.STOPPING: (StepKind.ADOPT_STOPPING, "nobody remembers it, and it is to end"),
    ProvidedState.ENDED: (StepKind.REMOVE, "it ended, and nobody remembers it"),
}
"""What is done with a node that the provider has and nobody remembers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do, and why. `name` is the provider's for the node, `age_s` counts from when it
    came to its stage, or from its launch where nobody remembers it."""

    kind: StepKind
    node: str
    name: str
    spec: NodeSpec
    reason: str
    age_s: float


def reconcile(
    seen: Observation,
    provided: Mapping[str, ProvidedNode],
    *,
    scope: str,
    is_gone: Callable[[str], bool],
    boot_timeout_s: float,
    kill_after_s: float,
) -> list[Step]:
    """The steps, by node. `provided` is by node name. Launches of another scope, say another host,
    are not this controller's to judge, unless that scope is known to be gone."""
    serving = {node.worker_id: node for node in (*seen.nodes, *seen.candidates)}
    steps: list[Step] = []
    for node, launch in seen.launches.items():
        found = provided.get(node)
        age_s = (seen.now_ms - launch.since_ms) / 1000
        if launch.scope == scope:
            judged = _judge(
                launch,
                found,
                serving.get(node),
                age_s=age_s,
                boot_timeout_s=boot_timeout_s,
                kill_after_s=kill_after_s,
            )
        elif node not in serving and is_gone(launch.scope):
            judged = iter([(StepKind.FORGET, "who launched it has ended, and it with that")])
        else:
            continue
        for kind, reason in judged:
            spec = NodeSpec.of_profile(launch.profile)
            steps.append(
                Step(kind=kind, node=node, name=launch.name, spec=spec, reason=reason, age_s=age_s)
            )
    for node, found in provided.items():
        if node not in seen.known:
            kind, reason = STRANGERS[found.state]
            steps.append(
                Step(
                    kind=kind,
                    node=node,
                    name=found.name,
                    spec=found.spec,
                    reason=reason,
                    age_s=found.age_s,
                )
            )
    return steps


def _judge(
    launch: Launch,
    found: ProvidedNode | None,
    serving: ServingNode | None,
    *,
    age_s: float,
    boot_timeout_s: float,
    kill_after_s: float,
) -> Iterator[tuple[StepKind, str]]:
    has_ended = found is not None and found.state is ProvidedState.ENDED
    ended = f"it ended: {found.detail or 'no reason is known'}" if found and has_ended else ""
    match launch.stage:
        case LaunchStage.STARTING if serving is not None:
            yield StepKind.SETTLE, "it serves"
        case LaunchStage.STARTING if has_ended:
            yield StepKind.FAIL, f"it did not register; {ended}"
        case LaunchStage.STARTING if age_s > boot_timeout_s:
            said = f": {found.detail}" if found and found.detail else ""
            yield StepKind.FAIL, f"it did not register within {boot_timeout_s:g} s{said}"
        case LaunchStage.STARTING if found is None or found.state is ProvidedState.STARTING:
            # Who launched it may have died in between. A launch that comes again does no harm.
            yield StepKind.LAUNCH, "it does not run yet"
        case LaunchStage.READY if has_ended and serving is None:
            quick = age_s < QUICK_END_S
            yield (StepKind.FAIL if quick else StepKind.REMOVE), ended
        case LaunchStage.READY if found is None and serving is None:
            yield StepKind.FORGET, "its provider does not list it any more"
        case LaunchStage.READY if serving is None:
            yield StepKind.AWAIT, "it runs, and is silent"
        case LaunchStage.DRAINING if serving is not None and serving.state != "STOPPING":
            yield StepKind.DRAIN, "it is to be scaled in"
        case LaunchStage.DRAINING if serving is not None and serving.bugs:
            pass  # what it runs may end
        case LaunchStage.DRAINING if has_ended and serving is None:
            yield StepKind.REMOVE, ended
        case LaunchStage.DRAINING if found is None and serving is None:
            yield StepKind.FORGET, "its provider does not list it any more"
        case LaunchStage.DRAINING:
            yield StepKind.STOP, "it is drained, and runs nothing"
        case LaunchStage.STOPPING if found is None and serving is None:
            yield StepKind.FORGET, "it has been stopped"
        case LaunchStage.STOPPING if has_ended and serving is None:
            yield StepKind.REMOVE, "it has been stopped"
        case LaunchStage.STOPPING if age_s > kill_after_s:
            yield StepKind.REMOVE, f"it did not end within {kill_after_s:g} s of being stopped"
        case LaunchStage.STOPPING if not found or found.state is not ProvidedState.STOPPING:
            yield StepKind.STOP, "it is to end"
        case _:
            pass
