"""Laws of scaling decisions, for any cluster and any policy."""

import json
from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.domain.scaling import (
    Candidate,
    ClusterView,
    Demand,
    Draining,
    ScalingDecision,
    ScalingPolicy,
    Supply,
    decide,
)
from fixwurx_celery.simulation import Arrival, Setup, Trace, simulate
from fixwurx_celery.simulation.scalers import PolicyScaler

NODE = NodeSpec(agents=9, capabilities=frozenset({"python"}))
GPU = NodeSpec(agents=4, capabilities=frozenset({"gpu", "python"}))
SPECS = st.sampled_from([NODE, GPU])


@st.composite
def candidates(draw: st.DrawFn, number: int) -> Candidate:
    spec = draw(SPECS)
    holds: list[int] = []
    for agents in draw(st.lists(st.integers(1, 4), max_size=4)):
        if sum(holds) + agents <= spec.agents:
            holds.append(agents)
    idle_s = 0.0 if holds else draw(st.floats(0, 900))
    return Candidate(worker_id=f"n{number}", spec=spec, holds=tuple(holds), idle_s=idle_s)


def supply_of(nodes: list[Candidate]) -> list[Supply]:
    return [Supply(spec=one.spec, free=one.spec.agents - sum(one.holds)) for one in nodes]


DEMAND = st.builds(
    Demand,
    agents=st.integers(1, 9),
    requires=st.sampled_from([frozenset(), frozenset({"python"}), frozenset({"gpu"})]),
    waiting=st.integers(0, 200),
    run_s=st.none() | st.floats(0.1, 3600),
)


@st.composite
def views(draw: st.DrawFn) -> ClusterView:
    nodes = [draw(candidates(i)) for i in range(draw(st.integers(0, 8)))]
    profiles = {NODE.profile, GPU.profile}
    return ClusterView(
        supply=supply_of(nodes),
        starting=draw(st.dictionaries(SPECS, st.integers(1, 3))),
        draining=[
            Draining(worker_id=f"d{i}", spec=draw(SPECS), held=1)
            for i in range(draw(st.integers(0, 3)))
        ],
        candidates=nodes[: draw(st.integers(0, len(nodes)))],
        others=draw(st.integers(0, 2)),
        demand=draw(st.lists(DEMAND, max_size=4, unique_by=lambda one: (one.agents, one.requires))),
        needed=draw(
            st.lists(
                st.dictionaries(st.sampled_from(sorted(profiles)), st.integers(0, 12)), max_size=4
            )
        ),
        boot_s=draw(st.none() | st.floats(0.5, 300)),
    )


@st.composite
def policies(draw: st.DrawFn) -> ScalingPolicy:
    least = draw(st.integers(0, 6))
    return ScalingPolicy(
        specs=(NODE, GPU),
        min_workers=least,
        max_workers=draw(st.integers(max(1, least), 20)),
        target=draw(st.floats(0.2, 1)),
        scale_down_threshold=draw(st.floats(0, 0.9)),
        acceptable_wait_s=draw(st.sampled_from([0.0, 60.0, 900.0])),
    )


def after(view: ClusterView, decision: ScalingDecision) -> ClusterView:
    """The cluster once that was done: the drained nodes still run what they had."""
    gone = {one.worker_id: one for one in view.candidates if one.worker_id in decision.drain}
    supply = list(view.supply)
    for one in gone.values():
        supply.remove(Supply(spec=one.spec, free=one.spec.agents - sum(one.holds)))
    return replace(
        view,
        supply=supply,
        candidates=[one for one in view.candidates if one.worker_id not in gone],
        draining=[
            *view.draining,
            *(
                Draining(worker_id=one.worker_id, spec=one.spec, held=sum(one.holds))
                for one in gone.values()
            ),
        ],
    )


@given(views(), policies())
def test_there_are_never_more_nodes_than_the_maximum_by_a_decision(
    view: ClusterView, policy: ScalingPolicy
) -> None:
    decision = decide(view, policy)

    assert view.nodes + len(decision.launch) <= max(view.nodes, policy.max_workers)


@given(views(), policies())
def test_nodes_that_serve_or_start_are_never_fewer_than_the_minimum_by_a_drain(
    view: ClusterView, policy: ScalingPolicy
) -> None:
    decision = decide(view, policy)

    if decision.drain and decision.action == "in":
        excess = view.nodes - len(view.draining) - policy.max_workers
        assert view.serving - len(decision.drain) >= policy.min_workers or (
            len(decision.drain) <= excess
        )


@given(views(), policies())
def test_only_candidates_are_drained_each_once_and_no_draining_node(
    view: ClusterView, policy: ScalingPolicy
) -> None:
    decision = decide(view, policy)

    assert len(set(decision.drain)) == len(decision.drain)
    assert set(decision.drain) <= {one.worker_id for one in view.candidates}
    assert set(decision.resume) <= {one.worker_id for one in view.draining}


@given(views(), policies(), st.booleans())
def test_a_drain_never_makes_the_same_cluster_want_a_node_back(
    view: ClusterView, policy: ScalingPolicy, is_quiet: bool
) -> None:
    if is_quiet:  # most of the others hold or launch
        view = replace(view, demand=[], needed=[])
    decision = decide(view, policy)

    if decision.action == "in" and "max_workers" not in str(decision.limits):
        again = decide(after(view, decision), policy)
        assert (again.launch, again.resume) == ((), ())


@given(views(), policies())
def test_a_recorded_view_decides_the_same(view: ClusterView, policy: ScalingPolicy) -> None:
    told = json.loads(json.dumps([view.as_dict(), policy.as_dict()]))

    again = decide(ClusterView.from_dict(told[0]), ScalingPolicy.from_dict(told[1]))

    assert again.as_dict() == decide(view, policy).as_dict()


# Headroom alone waits until half of it is used up; a bug that starts a node must not undo it.
@example(0, 1, [0], 1, ScalingPolicy(specs=(NODE,), max_workers=1, target=0.25))
@given(
    st.integers(0, 200),
    st.integers(1, 50),
    st.lists(st.integers(0, 9), max_size=6),
    st.integers(1, 9),
    policies(),
)
def test_more_demand_never_wants_fewer_nodes(
    waiting: int, more: int, free: list[int], agents: int, policy: ScalingPolicy
) -> None:
    policy = replace(policy, specs=(NODE,))
    view = ClusterView(
        supply=[Supply(spec=NODE, free=one) for one in free],
        demand=[Demand(agents=agents, waiting=waiting)],
    )
    larger = replace(view, demand=[Demand(agents=agents, waiting=waiting + more)])

    assert decide(larger, policy).wanted >= decide(view, policy).wanted


@given(st.integers(1, 200), st.integers(1, 9), policies())
def test_the_nodes_that_were_launched_are_not_launched_again(
    waiting: int, agents: int, policy: ScalingPolicy
) -> None:
    view = ClusterView(demand=[Demand(agents=agents, waiting=waiting)])
    launched = decide(view, policy).launch

    again = decide(
        replace(view, starting={spec: launched.count(spec) for spec in launched}), policy
    )

    assert again.launch == ()


@settings(deadline=None, max_examples=20)
@given(
    st.integers(1, 30),
    st.floats(60, 900),
    st.floats(1, 120),
    st.sampled_from([0.7, 0.8, 0.9, 1.0]),
)
def test_constant_load_comes_to_rest(bugs: int, run_s: float, boot_s: float, target: float) -> None:
    lanes = [
        Arrival(at_s=i * run_s / bugs, duration_s=run_s, repeats=int(14_400 / run_s))
        for i in range(bugs)
    ]
    trace = Trace(name="lanes", arrivals=lanes, length_s=0)
    policy = ScalingPolicy(specs=[NODE], max_workers=40, target=target)

    outcome = simulate(
        trace, PolicyScaler(policy, lanes), Setup(prices={NODE: 1.0}, boot_s=(boot_s, boot_s))
    )

    assert sum(7200 <= change.at_s < 10_800 for change in outcome.changes) <= 1
    assert outcome.busy_stopped == 0
