"""The records are the truth: whichever index is deleted, everything is back in its place."""

import pytest

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.invariants import violations
from tests.support.clock import Clock
from tests.support.cluster import bug, fail, finish, node, running, start
from tests.support.state import dump

TRANSIENT = {"events", "stats", "tally", "server", "config", "durations"}
"""What is no index: counters, settings, the log, what was learned."""


def busy_cluster(store: ClusterStore, clock: Clock) -> None:
    """Bugs and nodes in every state that there is."""
    node(store, "n0", agents=9)
    two, _ = node(store, "n1", agents=6, labels=["gpu"])
    (once,) = running(store, two, bug("backs-off", requires=["gpu"]))
    _, (again,) = fail(store, once)
    assert fail(store, start(store, again, two)) == ("PENDING", [])
    store.client.hset(f"{store.prefix}node:n1", "health", "1")
    store.heartbeat("n1", two.incarnation, {})
    (done,) = running(store, two, bug("done", requires=["gpu"]))
    finish(store, done)
    running(store, two, bug("runs", requires=["gpu"]))
    store.submit([bug("assigned", agents=4)])
    assert store.reserve("reserved", "3|", "me") == ("RESERVED", "n0")
    store.submit([bug(f"waits{i}", agents=9, limits={"waiting": 60.0}) for i in range(3)])
    store.submit([bug("waits-gpu", agents=6, requires=["gpu"])])
    store.drain("n1", 60)
    gone, _ = node(store, "gone", agents=1)
    store.retire("gone", gone.incarnation)
    store.sweep()


def indexes(store: ClusterStore) -> dict[str, object]:
    """Everything but records and what has no place to be in."""
    return {
        name: value
        for name, value in dump(store).items()
        if not name.startswith(("bug:", "log:", "took:", "tick:")) and name not in TRANSIENT
    }


def kinds(store: ClusterStore) -> list[str]:
    return sorted(name for name in indexes(store) if not name.startswith("node:"))


EVERY = [
    "delayed", "draining", "finished", "gone", "held:n0", "held:n1", "leases", "levels:9|",
    "line:6|gpu", "line:9|", "lines", "nodes", "outbox", "patience", "profiles", "queues",
    "shelf:9|:2",
]  # fmt: skip
LEFT_TO_OTHERS = {"queues"}
"""A queue that nobody deletes any more is asked for again when its node is forgotten."""


def test_the_cluster_of_these_tests_has_every_index(store: ClusterStore, clock: Clock) -> None:
    busy_cluster(store, clock)

    assert kinds(store) == EVERY
    assert violations(store) == []


@pytest.mark.parametrize("index", [name for name in EVERY if name not in LEFT_TO_OTHERS])
def test_a_deleted_index_is_there_again_after_one_round(
    index: str, store: ClusterStore, clock: Clock
) -> None:
    busy_cluster(store, clock)
    before = indexes(store)
    store.client.delete(store.prefix + index)

    mended, _ = store.mend()

    assert mended > 0
    assert violations(store) == []
    states = {b.id: b.state for b in store.bugs(store.bug_ids())}
    assert set(states) == {
        "backs-off", "done", "runs", "assigned", "reserved", "waits0", "waits1", "waits2",
        "waits-gpu",
    }  # fmt: skip
    if index not in ("delayed", "levels:9|", "shelf:9|:2"):  # a back-off is cut short, and fills
        assert indexes(store).keys() == before.keys()
    assert store.mend() == (0, []), "nothing is left to mend"


def test_all_indexes_deleted_at_once(store: ClusterStore, clock: Clock) -> None:
    busy_cluster(store, clock)
    store.client.delete(*(store.prefix + name for name in kinds(store)))

    store.mend()
    store.mend()

    assert violations(store) == []
    for name in ("runs", "assigned", "reserved"):
        assert store.bug(name).worker_id in ("n0", "n1")


def test_a_count_that_drifted_is_counted_anew(store: ClusterStore) -> None:
    life, _ = node(store, "n0", agents=9)
    running(store, life, bug("a"))
    store.client.hset(f"{store.prefix}node:n0", mapping={"free": "9", "bugs": "0"})
    store.client.hset(f"{store.prefix}held:n0", "nobody", "3")

    store.mend()

    assert violations(store) == []
    assert store.snapshot().nodes[0].free_agents == 6


def test_capacity_is_never_given_out_twice_while_an_index_is_missing(store: ClusterStore) -> None:
    life, _ = node(store, "n0", agents=3)
    running(store, life, bug("a"))
    store.submit([bug("b")])
    store.client.delete(f"{store.prefix}held:n0")
    store.heartbeat("n0", life.incarnation, {})
    store.sweep()

    store.mend()

    assert store.bug("b").state is BugState.PENDING
    assert dump(store)["held:n0"] == {"a": "3"}


def test_a_node_whose_record_is_deleted_joins_again_and_its_bugs_are_given_back(
    store: ClusterStore,
) -> None:
    life, _ = node(store, "n0", agents=3)
    running(store, life, bug("a"))
    store.client.delete(f"{store.prefix}node:n0")

    assert store.heartbeat("n0", life.incarnation, {}) is None
    _, (again,) = node(store, "n0", agents=3)

    assert again.bug_id == "a"
    record = store.bug("a")
    assert (record.attempts, record.losses) == (0, 0)
    store.mend()
    assert violations(store) == []


def test_a_name_in_line_without_a_record_is_passed_over(store: ClusterStore) -> None:
    store.submit([bug("ghost"), bug("a")])
    store.client.delete(f"{store.prefix}bug:ghost")

    _, handed = node(store, "n0", agents=3)

    assert [assignment.bug_id for assignment in handed] == ["a"]
    assert "bug:ghost" not in dump(store)


def test_a_sound_cluster_is_left_as_it_is(store: ClusterStore, clock: Clock) -> None:
    busy_cluster(store, clock)
    before = dump(store)

    assert store.mend() == (0, [])
    assert dump(store) == before
