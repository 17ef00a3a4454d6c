"""What the scripts write into the event log: one event for each change of state, none for a call
that comes again (every call of this folder does)."""

from collections.abc import Callable

import pytest

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.event_log import whole_log
from fixwurx_celery.store.history import History
from tests.support.clock import Clock
from tests.support.cluster import bug, fail, finish, node, running, start

MakeStore = Callable[..., ClusterStore]
Told = tuple[str, str, str, str, str]
SILENT = "node was silent past its heartbeat timeout"


def told(store: ClusterStore, after: int = 0) -> list[Told]:
    """The whole log without ids, from there on."""
    return [
        (event.action, event.bug, event.node, event.epoch, event.detail)
        for event in whole_log(store)
    ][after:]


def test_the_way_of_a_bug_is_told_with_its_class_its_epochs_and_how_it_ended(
    store: ClusterStore,
) -> None:
    life, _ = node(store, "n0", labels=["gpu"])
    (run,) = running(store, life, bug("a", requires=["gpu"]))
    store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner, phase="PATCH")
    finish(store, run, BugState.ESCALATED)
    _, (second,) = store.retry("a")
    start(store, second, life)
    one, two = str(run.epoch), str(second.epoch)

    assert told(store) == [
        ("node_registered", "", "n0", "", f"{life.incarnation} 9|gpu"),
        ("bug_submitted", "a", "", "", "3|gpu"),
        ("bug_assigned", "a", "n0", one, "3|gpu"),
        ("bug_started", "a", "n0", one, "1"),
        ("bug_phase", "a", "n0", one, "PATCH"),
        ("bug_finished", "a", "n0", one, "ESCALATED"),
        ("bug_retried", "a", "", one, "3|gpu"),
        ("bug_assigned", "a", "n0", two, "3|gpu"),
        ("bug_started", "a", "n0", two, "2"),
    ]


def test_a_bug_that_is_taken_off_its_node_is_told_once_with_epoch_and_reason(
    make_store: MakeStore,
) -> None:
    store = make_store(max_attempts=2)
    life, _ = node(store, "n0", agents=9)
    again, killed, waits = running(store, life, bug("again"), bug("killed"), bug("waits"))
    before = len(told(store))
    _, (second,) = fail(store, again, "attempts", "it died")
    fail(store, start(store, second, life), "attempts", "it died again")
    store.cancel("killed")
    fail(store, killed, "attempts", "it died as well")
    store.drain("n0", 30)
    fail(store, waits, "", "node ends")
    store.cancel("waits")
    epoch = str(second.epoch)

    assert told(store, before) == [
        ("bug_given_back", "again", "n0", str(again.epoch), "it died"),
        ("bug_assigned", "again", "n0", epoch, "3|"),
        ("bug_started", "again", "n0", epoch, "2"),
        ("bug_escalated", "again", "n0", epoch, "it died again"),
        ("bug_cancelling", "killed", "n0", str(killed.epoch), ""),
        ("bug_cancelled", "killed", "n0", str(killed.epoch), "it died as well"),
        ("node_draining", "", "n0", "", "30000"),
        ("bug_given_back", "waits", "n0", str(waits.epoch), "node ends"),
        ("bug_cancelled", "waits", "", str(waits.epoch), "cancelled before it started"),
    ]


def test_a_reservation_is_told_with_its_class_and_why_it_ended(
    store: ClusterStore, clock: Clock
) -> None:
    node(store, "n0", agents=9)
    for name in ("lapses", "cancelled", "released"):
        store.reserve(name, "3|", "me")
    epochs = {name: str(store.bug(name).epoch) for name in ("lapses", "cancelled", "released")}
    before = len(told(store))
    store.cancel("cancelled")
    store.release("released")
    clock.advance(s=9)
    store.heartbeat("n0", store.snapshot().nodes[0].incarnation, {})
    clock.advance(s=9)
    store.sweep()

    assert told(store)[before - 3][0::4] == ("bug_reserved", "3|")
    assert told(store, before) == [
        ("bug_released", "cancelled", "n0", epochs["cancelled"], "cancelled"),
        ("bug_released", "released", "n0", epochs["released"], ""),
        ("bug_released", "lapses", "n0", epochs["lapses"], "its lease was not renewed"),
    ]


def test_the_lives_of_a_node_are_told_and_what_it_held_is_given_back_before_it_is_lost(
    make_store: MakeStore, clock: Clock
) -> None:
    store = make_store(keep_finished_sec=60)
    life, _ = node(store, "n0", life="l0")
    ended, (run,) = running(store, life, bug("ended"))[0], running(store, life, bug("a"))
    finish(store, ended)
    before = len(told(store))
    store.drain("n0", 30)
    store.resume("n0")
    store.register("n0", "l1", "9|", {})
    second = store.bug("a").epoch
    store.retire("n0", "l1")
    clock.advance(s=4000)
    store.sweep()

    assert told(store, before) == [
        ("node_draining", "", "n0", "", "30000"),
        ("node_resumed", "", "n0", "", ""),
        ("bug_given_back", "a", "n0", str(run.epoch), "node came back under a new incarnation"),
        ("node_lost", "", "n0", "", "node came back under a new incarnation"),
        ("node_registered", "", "n0", "", "l1 9|"),
        ("bug_assigned", "a", "n0", str(second), "3|"),
        ("bug_given_back", "a", "n0", str(second), "node ended"),
        ("node_lost", "", "n0", "", "node ended"),
        ("bug_expired", "ended", "", "", ""),
        ("node_forgotten", "", "n0", "", ""),
    ]


@pytest.mark.parametrize(("period_ms", "is_told"), [(10_000, True), (1000, True), (999, False)])
def test_a_tick_is_told_with_its_term_unless_ticks_come_often(
    store: ClusterStore, period_ms: int, is_told: bool
) -> None:
    term = store.claim_tick("scale", "host:7", period_ms)
    store.claim_tick("scale", "other:8", period_ms)

    assert told(store) == ([("tick", "", "host:7", str(term), "scale")] if is_told else [])


def test_the_log_alone_says_where_everything_is(store: ClusterStore, clock: Clock) -> None:
    life, _ = node(store, "n0", agents=9)
    _, lost = running(store, life, bug("runs"), bug("lost"))
    store.submit([bug("assigned"), bug("waits", agents=9)])
    fail(store, lost, "losses", "x")

    history = History()
    wrong = [line for event in whole_log(store) for line in history.feed(event)]

    assert wrong == []
    assert {name: str(seen.state) for name, seen in history.bugs.items()} == {
        record.id: str(record.state) for record in store.bugs(store.bug_ids())
    }
    assert history.held == {seen.worker_id: seen.bugs for seen in store.snapshot().nodes}


def test_who_sweeps_learns_what_befell_nodes_and_bugs(store: ClusterStore, clock: Clock) -> None:
    life, _ = node(store, "n0", agents=9)
    moved, cancelled = running(store, life, bug("moved"), bug("cancelled"))
    store.cancel("cancelled")
    store.reserve("reserved", "3|", "me")
    reserved = store.bug("reserved").epoch
    before = len(told(store))
    first = store.sweep()
    gone: list[tuple[str, ...]] = []
    for _ in range(8):  # of two seconds; the heartbeat timeout is ten
        clock.advance(s=2)
        gone += [tuple(each) for each in store.sweep().happened]

    assert first.happened == []
    assert sorted(gone) == [
        ("bug_cancelled", "cancelled", "n0", str(cancelled.epoch), SILENT),
        ("bug_given_back", "moved", "n0", str(moved.epoch), SILENT),
        ("bug_released", "reserved", "n0", str(reserved), SILENT),
        ("node_lost", "", "n0", "", SILENT),
    ]
    assert [each for each in told(store, before) if each in gone] == gone
