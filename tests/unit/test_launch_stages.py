"""The diagram of launched nodes in docs/scaling.md is what a tick does with them."""

from itertools import product

from fixwurx_celery.cluster.reconciliation import StepKind, reconcile
from fixwurx_celery.domain.nodes import LaunchStage, NodeSpec
from fixwurx_celery.providers import ProvidedNode, ProvidedState
from fixwurx_celery.store.records import Launch
from fixwurx_celery.store.scaling_state import Observation, ServingNode
from tests.support.diagrams import OUTSIDE, edges

SPEC = NodeSpec(agents=9, capabilities=frozenset())
LONG_S = 1e6
BECOMES = {
    StepKind.SETTLE: "READY",
    StepKind.AWAIT: "STARTING",
    StepKind.STOP: "STOPPING",
    StepKind.REMOVE: OUTSIDE,
    StepKind.FAIL: OUTSIDE,
    StepKind.FORGET: OUTSIDE,
}
"""A step that is not here leaves the stage as it is."""
DECIDED = {(OUTSIDE, "STARTING"), ("READY", "DRAINING"), ("DRAINING", "READY")}
"""By decisions: launch, drain, resume."""


def observation(launch: Launch, serving: ServingNode | None) -> Observation:
    return Observation(
        now_ms=int(LONG_S * 1000), cluster="c", supply={}, others=0, candidates=[],
        nodes=[serving] if serving else [], launches={launch.node: launch},
        known=frozenset({launch.node}), waiting={}, run_ms={}, boots_ms=[], failures=0,
        pause_until_ms=0, error="", needed=[],
    )  # fmt: skip


def serving(state: str, bugs: int) -> ServingNode:
    return ServingNode(
        worker_id="auto1@h", profile=SPEC.profile, state=state, free=9, bugs=bugs, idle_ms=0
    )


def test_it_shows_every_change_of_stage_and_no_other() -> None:
    now_ms = int(LONG_S * 1000)
    seen = set(DECIDED)
    for stage, state, served, age_s in product(
        LaunchStage,
        (None, *ProvidedState),
        (None, serving("READY", 0), serving("READY", 1), serving("STOPPING", 0),
         serving("STOPPING", 1)),
        (0, LONG_S),
    ):  # fmt: skip
        launch = Launch(
            node="auto1@h", name="auto1", profile=SPEC.profile, scope="h", stage=stage, term=1,
            at_ms=0, since_ms=now_ms - int(age_s * 1000),
        )  # fmt: skip
        provided = (
            {"auto1@h": ProvidedNode(name="auto1", spec=SPEC, state=state, age_s=age_s)}
            if state
            else {}
        )
        for step in reconcile(
            observation(launch, served), provided, scope="h", is_gone=lambda scope: False,
            boot_timeout_s=300, kill_after_s=50,
        ):  # fmt: skip
            seen.add((str(stage), BECOMES.get(step.kind, str(stage))))

    assert {(a, b) for a, b in seen if a != b} == edges("scaling.md", "A tick")
