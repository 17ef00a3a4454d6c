"""What the page is made of, against a real store."""

import json
from typing import Any

import pytest

from fixwurx_celery.dashboard import reader as reader_module
from fixwurx_celery.dashboard.picture import picture_of
from fixwurx_celery.dashboard.reader import Reader
from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.domain.nodes import BalancingStrategy
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.scaling_state import ScalingState
from tests.support import cluster
from tests.support.clock import Clock

VIEW: dict[str, Any] = {
    "supply": [{"profile": "9|python", "free": 3, "count": 2}], "starting": {}, "draining": [],
    "candidates": [], "others": 0,
    "demand": [{"agents": 3, "requires": ["gpu"], "waiting": 4, "run_s": None}], "needed": [],
    "boot_s": None, "may_launch": None, "trouble": "",
}  # fmt: skip


def parts(reader: Reader) -> dict[str, Any]:
    """The picture as viewers get it."""
    picture = picture_of(reader.read())
    return {name: json.loads(part.body) for name, part in picture.parts.items()}


def decide(
    store: ClusterStore, clock: Clock, reason: str, action: str = "hold", **told: Any
) -> str:
    """A decision in the history; its id."""
    clock.advance(s=30)
    state = ScalingState(store)
    term = store.claim_tick("scale", "me", 1000)
    assert term is not None
    state.record_decision(
        term, action=action, reason=reason, needed={}, window_s=60,
        told={"nodes": 2, "wanted": 3, "view": VIEW, "provider": "local", "trouble": "", **told},
    )  # fmt: skip
    return state.decisions(1)[0].id


def test_every_bug_on_a_node_has_its_phase_and_since_when(
    store: ClusterStore, clock: Clock
) -> None:
    life, _ = cluster.node(store, "n0", 9, ["python"])
    _, (runs, waits) = store.submit([cluster.bug("runs", 3), cluster.bug("given", 2)])
    assigned_ms = clock.now_ms
    clock.advance(s=4)
    run = cluster.start(store, runs, life)
    store.report(run.bug, "n0", run.incarnation, run.epoch, run.runner, phase="PATCH")

    (node,) = parts(Reader(store))["nodes"]

    assert waits.bug_id == "given"
    assert node["bugs"] == [
        ["given", 2, "ASSIGNED", "WAIT", assigned_ms],
        ["runs", 3, "RUNNING", "PATCH", clock.now_ms],
    ]
    assert (node["id"], node["agents"], node["free"], node["labels"]) == ("n0", 9, 4, ["python"])


def test_a_reservation_is_a_bug_on_a_node_too(store: ClusterStore, clock: Clock) -> None:
    cluster.node(store, "n0", 9)
    store.reserve("b", "3|", "somebody")

    (node,) = parts(Reader(store))["nodes"]

    assert [bug[:3] for bug in node["bugs"]] == [["b", 3, "RESERVED"]]


def test_progress_is_read_only_when_asked_for(store: ClusterStore) -> None:
    life, _ = cluster.node(store, "n0", 9)
    cluster.running(store, life, cluster.bug("b"))

    assert store.snapshot().progress == {}
    assert store.snapshot(with_progress=True).progress["b"].state is BugState.RUNNING


def test_waiting_bugs_are_counts_with_their_head(store: ClusterStore, clock: Clock) -> None:
    cluster.node(store, "n0", 3, ["gpu"])
    store.submit([cluster.bug("first")])
    began_ms = clock.now_ms
    store.submit([cluster.bug(f"w{i}") for i in range(5)])
    clock.advance(s=9)
    store.submit([cluster.bug("g", requires=["gpu"])])

    told = parts(Reader(store))

    assert told["lines"] == {
        "lines": [
            {"class": "3|", "waiting": 5, "head": "w0", "since_ms": began_ms},
            {"class": "3|gpu", "waiting": 1, "head": "g", "since_ms": clock.now_ms},
        ],
        "delayed": 0,
    }
    assert told["totals"]["waiting"] == 6


def test_a_heartbeat_changes_no_other_part(store: ClusterStore, clock: Clock) -> None:
    life, _ = cluster.node(store, "n0", 9)
    reader = Reader(store)
    before = picture_of(reader.read()).parts
    clock.advance(s=1)
    store.heartbeat("n0", life.incarnation, {})
    after = picture_of(reader.read()).parts

    assert {name for name in after if after[name] != before[name]} == {"heartbeats"}


def test_a_bug_that_ended_is_told_with_node_runs_and_what_there_is_to_read(
    store: ClusterStore, clock: Clock
) -> None:
    life, _ = cluster.node(store, "n0", 9)
    (run,) = cluster.running(store, life, cluster.bug("b"))
    clock.advance(s=7)
    outcome = {"outcome": "FIXED", "edit": "`<=` -> `<`", "patch": "--- a\n"}
    store.finish("b", "n0", run.incarnation, run.epoch, run.runner, BugState.DONE, outcome)

    (told,) = parts(Reader(store))["ended"]

    assert told == {
        "id": "b", "state": "DONE", "verdict": "FIXED", "detail": "`<=` -> `<`", "node": "n0",
        "runs": 1, "deaths": 0, "took_ms": 7000, "at_ms": clock.now_ms, "patch": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "verdict", "detail"),
    [
        ({"outcome": "ERROR", "reason": "x" * 5000}, "ERROR", "x" * 399 + "…"),
        ({"outcome": ["odd"], "reason": None}, "['odd']", ""),
        (["any", "JSON"], "", '["any", "JSON"]'),
        (7, "", "7"),
        (None, "", ""),
    ],
    ids=["long", "odd", "list", "number", "none"],
)
def test_an_outcome_of_any_shape_can_be_told(
    store: ClusterStore, outcome: Any, verdict: str, detail: str
) -> None:
    life, _ = cluster.node(store, "n0", 9)
    (run,) = cluster.running(store, life, cluster.bug("b"))
    store.finish("b", "n0", run.incarnation, run.epoch, run.runner, BugState.DONE, outcome)

    (told,) = parts(Reader(store))["ended"]

    assert (told["verdict"], told["detail"]) == (verdict, detail)


def test_bugs_that_ended_are_read_once_and_again_when_they_ended_again(
    store: ClusterStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    life, _ = cluster.node(store, "n0", 9)
    runs = cluster.running(store, life, cluster.bug("a"), cluster.bug("b"))
    for run in runs:
        cluster.finish(store, run)
    reader = Reader(store)
    asked: list[list[str]] = []
    bugs = store.bugs
    monkeypatch.setattr(store, "bugs", lambda ids: asked.append(list(ids)) or bugs(ids))

    reader.read()
    reader.read()
    clock.advance(s=5)
    _, (again,) = store.retry("a")
    during = [record.id for record in reader.read().ended]
    cluster.finish(store, cluster.start(store, again, life, "r2"))
    after = [(record.id, record.runs) for record in reader.read().ended]

    assert during == ["b"]
    assert after == [("a", 2), ("b", 1)]
    assert asked == [["b", "a"], [], [], ["a"]]


def test_only_the_last_bugs_that_ended_are_shown(
    store: ClusterStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "MOST_ENDED", 2)
    life, _ = cluster.node(store, "n0", 9)
    for name in ("a", "b", "c"):
        (run,) = cluster.running(store, life, cluster.bug(name))
        clock.advance(s=1)
        cluster.finish(store, run)

    told = parts(Reader(store))

    assert [bug["id"] for bug in told["ended"]] == ["c", "b"]
    assert told["totals"]["kept"] == 3


def test_decisions_are_points_of_a_chart_and_changes_rows_with_a_reason(
    store: ClusterStore, clock: Clock
) -> None:
    decide(store, clock, "all is well")
    id_ = decide(store, clock, "12 of 18 agents at work", "out")

    told = parts(Reader(store))["scaling"]

    assert [point[1:] for point in told["ticks"]] == [[18, 12, 12, 2, 3]] * 2
    assert [(one["id"], one["reason"]) for one in told["changes"]] == [
        (id_, "12 of 18 agents at work")
    ]
    assert told["last"]["action"] == "out"


@pytest.mark.parametrize(("provider", "shown"), [("none", ""), ("local", "no such image")])
def test_trouble_without_a_provider_is_none(
    store: ClusterStore, clock: Clock, provider: str, shown: str
) -> None:
    decide(store, clock, "all is well", provider=provider, trouble="no such image")

    assert parts(Reader(store))["scaling"]["last"]["trouble"] == shown


def test_new_decisions_are_added_and_old_ones_are_not_read_again(
    store: ClusterStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(store)
    ids = [decide(store, clock, f"decision {i}") for i in range(3)]
    reader.read()
    counts: list[int] = []
    decisions = ScalingState.decisions
    monkeypatch.setattr(
        ScalingState, "decisions", lambda self, most: counts.append(most) or decisions(self, most)
    )
    ids += [decide(store, clock, f"decision {i}") for i in range(3, 5)]
    counts.clear()

    seen = [tick.id for tick in reader.read().ticks]

    assert seen == ids
    assert counts == [reader_module.NEW_TICKS]


def test_after_a_long_pause_no_decision_is_missing(store: ClusterStore, clock: Clock) -> None:
    reader = Reader(store)
    ids = [decide(store, clock, "before")]
    reader.read()
    ids += [decide(store, clock, f"decision {i}") for i in range(reader_module.NEW_TICKS + 3)]

    assert [tick.id for tick in reader.read().ticks] == ids


def test_decisions_that_a_store_lost_are_not_shown_any_more(
    store: ClusterStore, clock: Clock
) -> None:
    reader = Reader(store)
    kept = decide(store, clock, "kept")
    lost = decide(store, clock, "lost")
    reader.read()
    store.client.xdel(store.prefix + "decisions", lost)
    once = [tick.id for tick in reader.read().ticks]
    store.client.delete(store.prefix + "decisions")
    then = reader.read().ticks

    assert once == [kept]
    assert list(then) == []


def test_the_strategy_is_told_with_all_that_it_could_be(store: ClusterStore) -> None:
    store.set_strategy(BalancingStrategy.RANDOM)

    totals = parts(Reader(store))["totals"]

    assert totals["strategy"] == "RANDOM"
    assert [name for name, _ in totals["strategies"]] == list(BalancingStrategy)
