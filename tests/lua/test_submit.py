from collections.abc import Callable

import pytest

from fixwurx_celery.cluster.connection import refusal
from fixwurx_celery.domain.bugs import Bug, BugState
from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.store import ClusterStore
from tests.support.clock import Clock
from tests.support.cluster import bug, finish, node, nodes, running, start
from tests.support.state import dump, without_tries

MakeStore = Callable[..., ClusterStore]


def test_a_bug_goes_to_a_node_with_room_at_once(store: ClusterStore) -> None:
    nodes(store, 1)

    results, assigned = store.submit([bug("a")])

    assert [(r.status, r.detail) for r in results] == [("ASSIGNED", "n0")]
    assert [(a.worker_id, a.bug_id) for a in assigned] == [("n0", "a")]
    state = dump(store)
    assert state["held:n0"] == {"a": "3"}
    assert state["node:n0"]["free"] == "6"
    assert set(state["outbox"]) == {"a"}
    assert "leases" not in state
    assert "lines" not in state


def test_a_bug_without_room_waits_in_the_line_of_its_class(store: ClusterStore) -> None:
    node(store, "n0", agents=2)

    results, assigned = store.submit([bug("a"), bug("b", agents=2), bug("c", agents=2)])

    assert [r.status for r in results] == ["PENDING", "ASSIGNED", "PENDING"]
    assert [a.bug_id for a in assigned] == ["b"]
    assert dump(store)["lines"] == {"3|", "2|"}


def test_a_known_bug_is_answered_with_its_state_and_rung_again_when_it_has_not_started(
    store: ClusterStore,
) -> None:
    nodes(store, 1)
    _, first = store.submit([bug("a")])

    results, again = store.submit([bug("a", agents=1)])

    assert [(r.status, r.detail) for r in results] == [("KNOWN", "ASSIGNED")]
    assert again == first


def test_an_id_that_comes_twice_in_one_call_is_taken_once(store: ClusterStore) -> None:
    nodes(store, 1)

    results, assigned = store.submit([bug("a"), bug("a", priority=5)])

    assert sorted(r.status for r in results) == ["ASSIGNED", "KNOWN"]
    assert len(assigned) == 1


def test_bugs_beyond_the_bound_are_refused_and_leave_no_trace(make_store: MakeStore) -> None:
    store = make_store(max_waiting=2)

    results, _ = store.submit([bug(f"b{i}") for i in range(4)])

    assert [(r.status, r.detail) for r in results] == [
        ("PENDING", ""), ("PENDING", ""), ("FULL", "2"), ("FULL", "2"),
    ]  # fmt: skip
    assert not [key for key in dump(store) if key in ("bug:b2", "bug:b3")]


def test_a_refused_submission_changes_nothing_at_all(make_store: MakeStore) -> None:
    store = make_store(max_waiting=1)
    store.submit([bug("a")])
    before = without_tries(dump(store))

    store.submit([bug("b"), bug("huge", agents=999)])

    assert without_tries(dump(store)) == before


def test_bugs_that_back_off_count_as_waiting(make_store: MakeStore, clock: Clock) -> None:
    store = make_store(max_waiting=1)
    life, _ = node(store, "n0", agents=3)
    for _ in range(2):
        (run,) = [start(store, a, life) for a in store.submit([bug("a")])[1]]
        store.fail_attempt(run.bug, run.node, run.incarnation, run.epoch, "attempts", "died")
    store.submit([bug("filler")])

    results, _ = store.submit([bug("b")])

    assert store.bug("a").state is BugState.PENDING
    assert [r.status for r in results] == ["FULL"]


def test_agents_beyond_the_largest_node_are_refused_with_the_number(store: ClusterStore) -> None:
    node(store, "big", agents=12, labels=["gpu"])
    node(store, "small", agents=4)

    results, _ = store.submit(
        [
            bug("a", agents=12, requires=["gpu"]),
            bug("b", agents=13),
            bug("c", agents=10, requires=["x"]),
        ]
    )

    assert [(r.status, r.detail) for r in results] == [
        ("ASSIGNED", "big"), ("UNSATISFIABLE", "12"), ("UNSATISFIABLE", "9"),
    ]  # fmt: skip


def test_where_nodes_are_launched_demand_that_none_could_serve_is_refused_with_the_reason(
    make_store: MakeStore,
) -> None:
    specs = (
        NodeSpec(agents=9, capabilities=frozenset({"python"})),
        NodeSpec(agents=4, capabilities=frozenset({"gpu"})),
    )
    store = make_store(provider="local", node_specs=specs)
    node(store, "own", agents=6, labels=["tpu"])
    bugs = [
        bug("a", agents=4, requires=["gpu"]),
        bug("b", agents=5, requires=["gpu"]),
        bug("c", agents=6, requires=["tpu"]),
        bug("d", requires=["fpga"]),
    ]

    results, _ = store.submit(bugs)

    assert [(r.status, r.detail) for r in results] == [
        ("PENDING", ""), ("UNSATISFIABLE", "4"), ("ASSIGNED", "own"), ("UNSATISFIABLE", "0"),
    ]  # fmt: skip
    assert [str(refusal(bugs[i], results[i])) for i in (1, 3)] == [
        "cannot take bug b: it needs 5 agents at once and the largest node with gpu has 4; "
        "lower `agents`, or start a larger node",
        "cannot take bug d: no node with fpga is there, and none can be started; add such a node "
        "to FIXWURX_NODE_SPECS, or start one",
    ]


def test_more_classes_than_the_bound_are_refused(store: ClusterStore) -> None:
    wide = [bug(f"b{i}", agents=1, requires=[f"l{i}"]) for i in range(257)]

    results, _ = store.submit(wide)

    assert [r.status for r in results] == ["PENDING"] * 256 + ["CLASSES"]
    assert results[-1].detail == "256"


def test_a_node_without_the_capability_never_gets_the_bug(store: ClusterStore) -> None:
    node(store, "plain")
    node(store, "prefix", labels=["gp", "gpu2", "xgpu"])

    results, _ = store.submit([bug("a", requires=["gpu"])])
    node(store, "right", labels=["arm", "gpu"])

    assert [r.status for r in results] == ["PENDING"]
    assert store.bug("a").worker_id == "right"


def test_bugs_of_one_submission_start_by_priority_then_longest_then_as_given(
    store: ClusterStore,
) -> None:
    life, _ = node(store, "n0", agents=3)
    (first,) = running(store, life, bug("now"))
    store.submit([
        bug("plain-1"), bug("short", expected_s=1), bug("long", expected_s=7 * 86400.0),
        bug("low", priority=-1000, expected_s=9), bug("high", priority=1000), bug("plain-2"),
    ])  # fmt: skip
    store.submit([bug("later", expected_s=600000)])

    order = []
    run = first
    while assigned := finish(store, run):
        order.append(assigned[0].bug_id)
        run = start(store, assigned[0], life)

    assert order == ["high", "long", "short", "plain-1", "plain-2", "later", "low"]


def test_one_submission_of_many_calls_is_ordered_as_a_whole(store: ClusterStore) -> None:
    many = [bug(f"b{i}", expected_s=i + 1) for i in range(1005)]

    store.submit(many)
    store.submit([bug("later", expected_s=99999)])

    line = dump(store)["line:3|"]
    in_order = sorted(line, key=lambda seat: (line[seat], seat))
    assert [seat[17:] for seat in in_order] == [f"b{i}" for i in reversed(range(1005))] + ["later"]


def test_what_a_bug_took_before_orders_it_when_nothing_else_is_said(
    make_store: MakeStore, clock: Clock
) -> None:
    store = make_store(keep_finished_sec=10)
    life, _ = node(store, "n0", agents=3)
    for name, seconds in (("slow", 500), ("quick", 1)):
        (run,) = running(store, life, bug(name))
        clock.advance(s=seconds)
        finish(store, run)
    clock.advance(s=11)
    store.sweep()
    life, _ = node(store, "n0", agents=3, life="again")
    running(store, life, bug("now"))

    store.submit([bug("quick"), bug("unknown"), bug("slow")])

    line = dump(store)["line:3|"]
    assert [seat[17:] for seat in sorted(line)] == ["slow", "quick", "unknown"]


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"list": [], "object": {}, "none": None, "deep": [[[]]]},
        {"text": 'ü€𝄞\u0000\u2028 "quoted" \\n', "lone": "\ud800"},
        {"big": 2**63, "float": 0.1, "tiny": 1e-300, "exact": 12345678901234567},
    ],
    ids=["empty", "empty-containers", "unicode", "numbers"],
)
def test_a_payload_comes_back_as_it_was_given(
    store: ClusterStore, payload: dict[str, object]
) -> None:
    life, _ = node(store, "n0")
    given = Bug(id="a", payload=payload)
    _, (assigned,) = store.submit([given])
    run = start(store, assigned, life)

    answer = store.start(run.bug, run.node, run.incarnation, run.epoch, run.runner)

    assert not isinstance(answer, str)
    assert answer.spec["payload"] == payload


def test_a_payload_that_is_no_json_is_refused_before_anything_is_sent(store: ClusterStore) -> None:
    bugs = [bug(f"b{i}") for i in range(1000)] + [Bug(id="bad", payload={"x": object()})]

    with pytest.raises(TypeError, match="bad"):
        store.submit(bugs)

    assert dump(store) == {}


def test_large_payloads_are_sent_in_several_calls_and_still_as_one_submission(
    store: ClusterStore,
) -> None:
    bugs = [Bug(id=f"b{i}", payload={"patch": "x" * 1_500_000}) for i in range(5)]

    results, _ = store.submit(bugs)

    assert [r.status for r in results] == ["PENDING"] * 5
    found = dump(store)
    assert {found[f"bug:b{i}"]["rank"] for i in range(5)} == {"1"}
    assert len(found["line:3|"]) == 5
