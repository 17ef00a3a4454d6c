"""What is decided, case by case, and what is said of it. The laws are in tests/property."""

from dataclasses import replace

import pytest

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.domain.scaling import (
    Candidate,
    ClusterView,
    Demand,
    Draining,
    ScalingPolicy,
    Supply,
    decide,
)

NODE = NodeSpec(agents=9, capabilities=frozenset({"python"}))
GPU = NodeSpec(agents=4, capabilities=frozenset({"gpu", "python"}))
POLICY = ScalingPolicy(specs=(NODE, GPU), min_workers=0, max_workers=5)
TIGHT = replace(POLICY, target=1.0)


def full(count: int, spec: NodeSpec = NODE) -> Supply:
    return Supply(spec=spec, free=0, count=count)


def idle(count: int, spec: NodeSpec = NODE) -> Supply:
    return Supply(spec=spec, free=spec.agents, count=count)


def candidates(count: int, *holds: int, spec: NodeSpec = NODE) -> list[Candidate]:
    return [Candidate(worker_id=f"n{i}", spec=spec, holds=holds) for i in range(count)]


def test_one_node_and_thirty_waiting_bugs_start_as_many_as_are_allowed() -> None:
    decision = decide(ClusterView(supply=[idle(1)], demand=[Demand(agents=3, waiting=30)]), POLICY)

    assert (decision.launch, decision.wanted) == ((NODE,) * 4, 13)
    assert decision.reason == (
        "0 of 9 agents on 1 node at work, 30 bugs waiting for 90 agents: 12 more nodes wanted, 3 "
        "of them to stay within 80% of the agents; 4 nodes to start (max_workers=5)"
    )


def test_a_waiting_bug_starts_a_node_from_none() -> None:
    decision = decide(ClusterView(demand=[Demand(agents=3, waiting=1)]), POLICY)

    assert decision.launch == (NODE,)


def test_a_bug_that_requires_a_label_starts_a_node_that_has_it_and_others_the_usual_one() -> None:
    gpu = Demand(agents=3, requires=frozenset({"gpu"}), waiting=1)
    view = ClusterView(demand=[Demand(agents=3, waiting=3), gpu])

    assert sorted(spec.profile for spec in decide(view, TIGHT).launch) == [
        GPU.profile,
        NODE.profile,
    ]


def test_a_label_that_nobody_asks_for_is_not_started() -> None:
    view = ClusterView(supply=[full(1)], demand=[Demand(agents=4, waiting=5)])

    assert set(decide(view, TIGHT).launch) == {NODE}


def test_nodes_that_start_count_as_there() -> None:
    waiting = [Demand(agents=3, waiting=6)]

    assert len(decide(ClusterView(supply=[full(1)], demand=waiting), TIGHT).launch) == 2
    assert not decide(
        ClusterView(supply=[full(1)], starting={NODE: 2}, demand=waiting), TIGHT
    ).is_change


def test_full_nodes_start_another_before_anything_waits_where_some_agents_are_to_be_free() -> None:
    assert len(decide(ClusterView(supply=[full(3)]), POLICY).launch) == 1
    assert decide(ClusterView(supply=[full(3)]), TIGHT).launch == ()


def test_bugs_that_free_agents_serve_sooner_than_a_new_node_could_start_start_none() -> None:
    short = Demand(agents=3, waiting=100, run_s=0.05)
    many = Demand(agents=3, waiting=10_000, run_s=0.05)

    assert decide(ClusterView(supply=[full(1)], demand=[short], boot_s=3), TIGHT).launch == ()
    assert decide(ClusterView(supply=[full(1)], demand=[many], boot_s=3), TIGHT).launch


def test_a_draining_node_serves_again_before_another_is_started() -> None:
    view = ClusterView(
        supply=[full(1)],
        draining=[Draining(worker_id="d", spec=NODE)],
        demand=[Demand(agents=3, waiting=6)],
    )

    decision = decide(view, TIGHT)

    assert (decision.resume, decision.launch) == (("d",), (NODE,))


def test_draining_nodes_and_those_of_others_count_towards_the_maximum() -> None:
    view = ClusterView(
        supply=[full(2)],
        draining=[Draining(worker_id="d", spec=GPU)],
        others=1,
        demand=[Demand(agents=3, waiting=30)],
    )

    assert len(decide(view, TIGHT).launch) == 1


def test_nodes_go_only_when_the_whole_window_did_without_them() -> None:
    view = ClusterView(supply=[Supply(spec=NODE, free=6, count=5)], candidates=candidates(5, 3))

    assert decide(replace(view, needed=[{NODE.profile: 5}]), POLICY).drain == ()
    assert decide(replace(view, needed=[{NODE.profile: 3}]), POLICY).drain == ("n0", "n1")


def test_while_demand_falls_nodes_stay_unless_even_its_peak_left_most_agents_idle() -> None:
    view = ClusterView(
        supply=[Supply(spec=NODE, free=6, count=5)],
        candidates=candidates(5, 3),
        needed=[{NODE.profile: 4}],
    )

    waits = decide(view, POLICY)
    goes = decide(view, replace(POLICY, scale_down_threshold=0.7))

    assert waits.drain == ()
    assert waits.reason.endswith("1 node too many, left until demand stops falling")
    assert goes.drain == ("n0",)


def test_what_draining_nodes_still_run_is_demand_to_come() -> None:
    view = ClusterView(supply=[Supply(spec=NODE, free=6, count=3)], candidates=candidates(3, 3))
    leaving = Draining(worker_id="d", spec=NODE, held=9)

    assert decide(view, POLICY).drain == ("n0",)
    assert decide(replace(view, draining=[leaving]), POLICY).drain == ()


def test_headroom_is_restored_when_half_of_it_is_used_up() -> None:
    policy = replace(POLICY, target=0.6, max_workers=20)

    assert not decide(ClusterView(supply=[Supply(spec=NODE, free=2, count=9)]), policy).is_change
    assert len(decide(ClusterView(supply=[Supply(spec=NODE, free=1, count=9)]), policy).launch) == 5


def test_no_node_is_started_for_bugs_that_may_wait_for_those_at_work() -> None:
    view = ClusterView(supply=[full(4)], demand=[Demand(agents=3, waiting=6, run_s=300)], boot_s=30)

    assert len(decide(view, TIGHT).launch) == 1
    assert not decide(view, replace(TIGHT, acceptable_wait_s=300)).is_change


def test_the_emptiest_go_first_and_of_those_the_longest_idle() -> None:
    view = ClusterView(
        supply=[idle(2), Supply(spec=NODE, free=6)],
        candidates=[
            Candidate(worker_id="busy", spec=NODE, holds=(3,)),
            Candidate(worker_id="fresh", spec=NODE, idle_s=1),
            Candidate(worker_id="stale", spec=NODE, idle_s=900),
        ],
    )

    assert decide(view, POLICY).drain == ("stale", "fresh")


def test_no_node_goes_that_the_same_demand_would_start_again() -> None:
    view = ClusterView(supply=[Supply(spec=NODE, free=4, count=4)], candidates=candidates(4, 5))

    decision = decide(view, POLICY)

    assert not decision.is_change
    assert "one node fewer would be started again" in decision.reason


def test_idle_nodes_of_another_kind_make_room_at_the_maximum() -> None:
    gpu = Demand(agents=3, requires=frozenset({"gpu"}), waiting=1)
    view = ClusterView(supply=[idle(5)], demand=[gpu], candidates=candidates(5))

    decision = decide(view, POLICY)

    assert decision.launch == ()
    assert decision.drain


def test_the_bounds_hold() -> None:
    assert decide(ClusterView(), replace(POLICY, min_workers=2)).launch == (NODE, NODE)
    lowered = ClusterView(supply=[idle(8)], candidates=candidates(8), needed=[{NODE.profile: 8}])
    assert len(decide(lowered, POLICY).drain) == 3
    least = ClusterView(supply=[idle(3)], candidates=candidates(3))
    assert len(decide(least, replace(POLICY, min_workers=2)).drain) == 1


def test_a_provider_in_trouble_is_asked_for_no_more_than_it_may() -> None:
    view = ClusterView(
        demand=[Demand(agents=9, waiting=3)], may_launch=1, trouble="one at a time, after a failure"
    )

    decision = decide(view, TIGHT)

    assert decision.launch == (NODE,)
    assert decision.limits == ("one at a time, after a failure",)


def test_demand_that_nothing_can_serve_is_named() -> None:
    fpga = Demand(agents=3, requires=frozenset({"fpga"}), waiting=2)

    decision = decide(ClusterView(demand=[fpga]), POLICY)

    assert decision.impossible == ("2 bugs of 3 agents that require fpga",)
    assert "no node can be started for 2 bugs of 3 agents that require fpga" in decision.reason


def test_demand_that_an_existing_node_serves_waits_for_that_one() -> None:
    fpga = NodeSpec(agents=3, capabilities=frozenset({"fpga"}))
    view = ClusterView(
        supply=[full(1, fpga)],
        demand=[Demand(agents=3, requires=frozenset({"fpga"}), waiting=2)],
    )

    assert decide(view, TIGHT).impossible == ()


def test_bounds_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="min_workers 6 must lie between 0 and max_workers 5"):
        replace(POLICY, min_workers=6)
    with pytest.raises(ValueError, match="target 0 must lie above 0"):
        replace(POLICY, target=0)
