"""cancel, release, retry: what a person asks for."""

from collections.abc import Callable

import pytest

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.errors import BugUnknown
from fixwurx_celery.store import ClusterStore
from tests.support.clock import Clock
from tests.support.cluster import bug, fail, finish, node, running, start
from tests.support.state import dump

MakeStore = Callable[..., ClusterStore]


def test_a_waiting_bug_is_cancelled_and_its_line_closed(store: ClusterStore) -> None:
    store.submit([bug("a")])

    assert store.cancel("a") == ("CANCELLED", [])

    state = dump(store)
    assert "lines" not in state
    assert "line:3|" not in state
    assert store.bug("a").outcome["outcome"] == "CANCELLED"


def test_a_bug_that_backs_off_is_cancelled_and_stays_so(store: ClusterStore, clock: Clock) -> None:
    life, _ = node(store, "n0", agents=3)
    (run,) = running(store, life, bug("a"))
    _, (again,) = fail(store, run)
    fail(store, start(store, again, life))

    store.cancel("a")
    clock.advance(s=5)
    store.sweep()

    assert store.bug("a").state is BugState.CANCELLED
    assert "delayed" not in dump(store)


def test_cancelling_an_assigned_bug_hands_its_agents_on(store: ClusterStore) -> None:
    node(store, "n0", agents=3)
    store.submit([bug("a"), bug("b")])

    status, (handed,) = store.cancel("a")

    assert (status, handed.bug_id) == ("CANCELLED", "b")
    assert dump(store)["held:n0"] == {"b": "3"}


def test_a_running_bug_is_told_at_its_report(store: ClusterStore) -> None:
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))

    assert store.cancel("a") == ("CANCELLING", [])

    assert store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner) == "CANCELLED"
    finish(store, run, BugState.CANCELLED)
    assert store.bug("a").cancelling is False


def test_a_bug_that_has_ended_is_not_cancelled(store: ClusterStore) -> None:
    life, _ = node(store, "n0")
    (run,) = running(store, life, bug("a"))
    finish(store, run)
    before = dump(store)

    assert store.cancel("a") == ("DONE", [])
    assert store.release("a") == ("DONE", [])
    assert dump(store) == before


def test_unknown_bugs_are_named(store: ClusterStore) -> None:
    with pytest.raises(BugUnknown, match="ghost"):
        store.cancel("ghost")
    with pytest.raises(BugUnknown, match="ghost"):
        store.retry("ghost")
    assert store.release("ghost") == ("UNKNOWN", [])


@pytest.mark.parametrize("stage", ["waiting", "assigned", "running", "backing off"])
def test_a_released_bug_is_forgotten_whatever_it_was_doing(store: ClusterStore, stage: str) -> None:
    life, _ = node(store, "n0", agents=3)
    if stage == "waiting":
        store.submit([bug("other"), bug("a")])
    elif stage == "assigned":
        store.submit([bug("a")])
    else:
        (run,) = running(store, life, bug("a"))
        store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner, log="old")
        if stage == "backing off":
            _, (again,) = fail(store, run)
            fail(store, start(store, again, life))

    status, _ = store.release("a")

    assert status == "RELEASED"
    counts = ("events", "tally")  # of events, which name no bug
    text = repr({key: value for key, value in dump(store).items() if key not in counts})
    assert "'a'" not in text
    assert ":a" not in text


def test_a_bug_released_and_submitted_again_does_not_see_its_old_log_or_epoch(
    store: ClusterStore,
) -> None:
    life, _ = node(store, "n0")
    (old,) = running(store, life, bug("a"))
    store.report(old.bug, old.node, old.incarnation, old.epoch, old.runner, log="old")
    store.release("a")

    (new,) = running(store, life, bug("a"))

    assert new.epoch > old.epoch
    assert store.log("a", 1) == ""
    assert store.report(old.bug, old.node, old.incarnation, old.epoch, old.runner) == "STALE"


def test_a_retried_bug_keeps_its_id_and_takes_a_new_place_in_line(store: ClusterStore) -> None:
    life, _ = node(store, "n0", agents=3)
    (run,) = running(store, life, bug("a", priority=1))
    store.submit([bug("b", priority=1), bug("c")])
    (second,) = finish(store, run)

    assert store.retry("a") == ("PENDING", [])

    run = start(store, second, life)
    (third,) = finish(store, run)
    assert (second.bug_id, third.bug_id) == ("b", "a")
    record = store.bug("a")
    assert (record.attempts, record.outcome, record.phase) == (0, None, "WAIT")
    assert third.epoch > second.epoch


def test_a_bug_that_is_live_is_not_retried(store: ClusterStore) -> None:
    store.submit([bug("a")])
    before = dump(store)

    assert store.retry("a") == ("PENDING", [])
    assert dump(store) == before


def test_a_retried_bug_gets_its_attempts_back(store: ClusterStore, clock: Clock) -> None:
    life, _ = node(store, "n0", agents=3)
    (run,) = running(store, life, bug("a"))
    for i in range(3):
        status, handed = fail(store, run)
        if status == "ESCALATED":
            break
        clock.advance(s=2)
        store.heartbeat("n0", life.incarnation, {})
        run = start(store, (handed or store.sweep().assignments)[0], life, f"r{i}")
    stats = dump(store)["stats"]
    assert stats["ESCALATED"] == "1"

    _, (again,) = store.retry("a")

    assert dump(store)["stats"]["ESCALATED"] == "0"
    assert fail(store, start(store, again, life, "last"))[0] == "PENDING"
    assert store.bug("a").runs == 4
