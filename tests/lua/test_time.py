"""sweep, claim_tick, and what the clock may do: go on, jump, go back."""

from collections.abc import Callable

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from tests.support.clock import Clock
from tests.support.cluster import bug, fail, finish, node, pass_time, running, start
from tests.support.state import dump

MakeStore = Callable[..., ClusterStore]


def test_a_silent_node_is_lost_and_its_bugs_go_elsewhere(store: ClusterStore, clock: Clock) -> None:
    silent, _ = node(store, "n0")
    (run,) = running(store, silent, bug("a"))
    clock.advance(s=9)
    other, _ = node(store, "n1")
    assert store.sweep().gone == []
    clock.advance(s=1)

    swept = store.sweep()

    assert swept.gone == ["n0"]
    assert [(a.worker_id, a.bug_id) for a in swept.assignments] == [("n1", "a")]
    assert store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner) == "STALE"
    assert store.bug("a").losses == 1
    start(store, swept.assignments[0], other, "r2")


def test_a_bug_that_keeps_losing_nodes_is_given_up_with_its_history(
    make_store: MakeStore, clock: Clock
) -> None:
    store = make_store(max_losses=3)
    store.submit([bug("poison"), bug("good")])

    for i in range(3):
        pass_time(store, clock, 100)
        node(store, f"n{i}", agents=3)
        pass_time(store, clock, 11)
        if store.bug("poison").state is BugState.ESCALATED:
            break
        if store.bug("poison").state is BugState.PENDING:
            store.cancel("good")

    record = store.bug("poison")
    assert record.state is BugState.ESCALATED
    assert [entry["node"] for entry in record.history] == ["n0", "n1", "n2"]
    assert record.outcome["outcome"] == "ERROR"


def test_a_runner_that_stops_reporting_loses_its_bug_though_its_node_beats(
    store: ClusterStore, clock: Clock
) -> None:
    life, _ = node(store, "n0", agents=3)
    (run,) = running(store, life, bug("a"))
    for _ in range(2):
        clock.advance(s=8)
        store.heartbeat("n0", life.incarnation, {})

    (again,) = store.sweep().assignments

    assert (again.bug_id, again.epoch > run.epoch) == ("a", True)
    record = store.bug("a")
    assert (record.attempts, record.losses) == (1, 0)
    assert store.snapshot().nodes[0].health < 0.8


def test_a_bell_that_nobody_answered_is_rung_again_and_no_sooner(
    store: ClusterStore, clock: Clock
) -> None:
    node(store, "n0")
    _, first = store.submit([bug("a")])
    clock.advance(ms=4999)
    assert store.sweep().assignments == []
    clock.advance(ms=1)

    assert store.sweep().assignments == first
    assert store.sweep().assignments == []


def test_a_bug_that_its_node_never_starts_goes_elsewhere(store: ClusterStore, clock: Clock) -> None:
    deaf, _ = node(store, "n0", agents=3)
    store.submit([bug("a")])
    lives = [deaf, node(store, "n1", agents=3)[0], node(store, "n2", agents=3)[0]]
    moved = set()
    for _ in range(20):
        clock.advance(s=1)
        for life in lives:
            store.heartbeat(life.node, life.incarnation, {})
        moved |= {(a.worker_id, a.epoch) for a in store.sweep().assignments}

    first, second = sorted(moved, key=lambda assignment: assignment[1])
    assert first[0] == "n0"
    assert second[0] in ("n1", "n2")
    record = store.bug("a")
    assert (record.attempts, record.losses) == (0, 0)


def test_a_node_kept_for_a_class_serves_it_when_its_unanswered_bugs_are_taken_away(
    make_store: MakeStore, clock: Clock
) -> None:
    store = make_store(starve_after_sec=5)
    life, _ = node(store, "n0", agents=9)
    store.submit([bug("unanswered")])
    (run,) = running(store, life, bug("a", agents=6))
    store.submit([bug("big", agents=9)])
    for _ in range(8):
        clock.advance(s=8)
        store.heartbeat("n0", life.incarnation, {})
        store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner)
    assert finish(store, run) == []
    assert dump(store)["starving"] == {"9|": "n0"}

    given = [a.bug_id for a in store.sweep().assignments]

    assert given == ["big"]
    assert store.bug("unanswered").state is BugState.PENDING


def test_finished_bugs_and_gone_nodes_are_forgotten_after_their_time(
    make_store: MakeStore, clock: Clock
) -> None:
    store = make_store(keep_finished_sec=60)
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))
    finish(store, run)
    store.retire("n0", life.incarnation)
    clock.advance(s=59)
    store.sweep()
    assert "bug:a" in dump(store)
    clock.advance(s=3600)

    store.sweep()

    assert {"bug:a", "finished", "node:n0", "gone"}.isdisjoint(dump(store))


def test_a_sweep_does_at_most_what_it_is_told(store: ClusterStore, clock: Clock) -> None:
    for i in range(5):
        node(store, f"n{i}")
    clock.advance(s=11)
    # Not replayed here: a sweep that is sent twice gets further.
    once = ClusterStore(
        store.client, Settings(namespace=store.prefix[1:-2]), clock_ms=store._clock_ms
    )

    assert [len(once.sweep(2).gone) for _ in range(4)] == [2, 2, 1, 0]


def test_one_caller_carries_out_a_tick(store: ClusterStore, clock: Clock) -> None:
    first = store.claim_tick("look", "a", 10_000)
    assert first is not None
    assert store.claim_tick("look", "b", 10_000) is None
    assert store.end_tick("look", first)
    clock.advance(ms=8999)
    assert store.claim_tick("look", "b", 10_000) is None
    clock.advance(ms=1)

    second = store.claim_tick("look", "b", 10_000)

    assert second is not None
    assert second > first
    assert "tick:look (expires)" in dump(store)
    assert store.claim_tick("other", "a", 10_000) is not None


def test_a_tick_whose_holder_died_is_carried_out_by_the_next(
    store: ClusterStore, clock: Clock
) -> None:
    first = store.claim_tick("look", "a", 10_000)
    assert first is not None
    clock.advance(ms=999)
    assert store.claim_tick("look", "b", 10_000) is None
    clock.advance(ms=1)

    assert store.claim_tick("look", "b", 10_000) is not None
    assert not store.end_tick("look", first), "its term is over"


def test_a_tick_is_claimed_although_the_clock_was_set_back(
    store: ClusterStore, clock: Clock
) -> None:
    first = store.claim_tick("sweep", "a", 10_000)
    clock.advance(s=-3600)

    second = store.claim_tick("sweep", "b", 10_000)

    assert first is not None
    assert second is not None
    assert second > first


def test_epochs_rise_although_the_clock_goes_back_or_stands_still(
    store: ClusterStore, clock: Clock
) -> None:
    life, _ = node(store, "n0", agents=3)
    epochs = []
    for seconds in (0, -3600, 0, 7200, -1):
        (run,) = running(store, life, bug("a"))
        epochs.append(run.epoch)
        store.release("a")
        clock.advance(s=seconds)

    assert epochs == sorted(set(epochs))


def test_a_clock_set_back_neither_sickens_nodes_nor_spoils_what_is_remembered(
    store: ClusterStore, clock: Clock
) -> None:
    life, _ = node(store, "n0")
    (run, other) = running(store, life, bug("a"), bug("b"))
    clock.advance(s=-3600)

    store.heartbeat("n0", life.incarnation, {})
    finish(store, run)
    fail(store, other)
    store.submit([bug("c")])
    store.retry("a")

    (seen,) = store.snapshot().nodes
    assert 0.5 < seen.health <= 1
    assert seen.response_time_ms >= 0
    assert store.bug("a").state is BugState.ASSIGNED
    assert all(key.partition(":")[2] != "" for key in dump(store) if key.startswith("bug:"))


def test_a_bug_that_took_no_time_can_be_submitted_again_and_found(
    make_store: MakeStore, clock: Clock
) -> None:
    store = make_store(keep_finished_sec=1)
    life, _ = node(store, "n0", agents=3)
    (run,) = running(store, life, bug("a"))
    clock.advance(s=-5)
    finish(store, run)
    clock.advance(s=60)
    store.sweep()

    store.submit([bug("a")])

    (seat,) = dump(store)["line:3|"]
    assert (len(seat), seat[17:]) == (18, "a")
