"""The checker that `doctor` runs: silent on a healthy store, and it sees every kind of damage."""

from collections.abc import Callable

import pytest

from fixwurx_celery.cli.advice import about_violation
from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.invariants import violations
from tests.support.clock import Clock
from tests.support.cluster import bug, fail, finish, node, pass_time, running, start
from tests.support.processes_apart import all_at_once

MakeStore = Callable[..., ClusterStore]


@pytest.fixture
def busy(store: ClusterStore, clock: Clock) -> ClusterStore:
    """One bug in each state there is."""
    life, _ = node(store, "n0", agents=9)
    done, again, _ = running(store, life, bug("done"), bug("again"), bug("runs"))
    _, (second,) = fail(store, again)
    fail(store, start(store, second, life, "r2"))
    finish(store, done)
    store.reserve("reserved", "3|", "me")
    node(store, "n1", agents=3, labels=["gpu"])
    store.submit(
        [
            bug("assigned", requires=["gpu"]),
            bug("waits", agents=9, limits={"waiting": 60}),
            bug("other", agents=9),
        ]
    )
    return store


def test_nothing_is_wrong_with_a_healthy_store(busy: ClusterStore) -> None:
    states = {record.id: record.state for record in busy.bugs(busy.bug_ids())}

    assert set(states.values()) >= {
        BugState.DONE, BugState.PENDING, BugState.RUNNING, BugState.RESERVED, BugState.ASSIGNED,
    }  # fmt: skip
    assert violations(busy) == []


DAMAGE = [
    ("node n0 has", lambda c, p: c.hincrby(f"{p}node:n0", "free", 1)),
    ("node n0 counts", lambda c, p: c.hincrby(f"{p}node:n0", "bugs", 1)),
    ("node n0 has", lambda c, p: c.hdel(f"{p}held:n0", "runs")),
    ("bug runs", lambda c, p: c.hdel(f"{p}held:n0", "runs")),
    ("bug ghost", lambda c, p: c.hset(f"{p}held:n0", "ghost", 3)),
    ("bug runs", lambda c, p: c.zrem(f"{p}leases", "runs")),
    ("bug assigned", lambda c, p: c.zrem(f"{p}outbox", "assigned")),
    ("bug waits", lambda c, p: c.delete(f"{p}line:9|")),
    ("line 9|", lambda c, p: c.delete(f"{p}line:9|")),
    ("line 9|", lambda c, p: c.srem(f"{p}lines", "9|")),
    ("its waiting does not end", lambda c, p: c.zrem(f"{p}patience", "waits")),
    ("bug runs is RUNNING, and its waiting", lambda c, p: c.zadd(f"{p}patience", {"runs": 1})),
    ("bug ghost is in some place", lambda c, p: c.zadd(f"{p}patience", {"ghost": 1})),
    ("bug done", lambda c, p: c.zrem(f"{p}finished", "done")),
    ("bug again", lambda c, p: c.zrem(f"{p}delayed", "again")),
    ("bug runs", lambda c, p: c.zadd(f"{p}delayed", {"runs": 1})),
    ("bug runs", lambda c, p: c.delete(f"{p}bug:runs")),
    ("bug waits was taken, and is absent", lambda c, p: c.delete(f"{p}bug:waits")),
    ("bug runs", lambda c, p: c.hset(f"{p}bug:runs", "state", "PENDING")),
    ("bug runs is held by another life", lambda c, p: c.hset(f"{p}node:n0", "incarnation", "x")),
    ("bug done is DONE without", lambda c, p: c.hdel(f"{p}bug:done", "outcome")),
    ("bug waits has rank", lambda c, p: c.hincrby(f"{p}bug:waits", "rank", 1)),
    ("node n0 is in service", lambda c, p: c.zrem(f"{p}nodes", "n0")),
    ("node n1 is listed", lambda c, p: c.delete(f"{p}node:n1")),
    ("profiles", lambda c, p: c.hincrby(f"{p}profiles", "9|", 1)),
    ("node n0 is kept", lambda c, p: c.hset(f"{p}node:n0", "kept_for", "9|")),
    ("node n0 is not on its shelf", lambda c, p: c.zrem(f"{p}shelf:9|:3", "n0")),
    ("shelf 9|:3", lambda c, p: c.delete(f"{p}levels:9|")),
    ("key stray", lambda c, p: c.set(f"{p}stray", 1)),
    ("key took:done never expires", lambda c, p: c.persist(f"{p}took:done")),
    ("bug done: bug_finished", lambda c, p: c.xadd(f"{p}events", event("bug_finished", "done"))),
    (
        "has epoch 5, not above epoch",
        lambda c, p: c.xadd(f"{p}events", event("bug_assigned", "runs", "5")),
    ),
]


def event(action: str, name: str, epoch: str = "") -> dict[str, str]:
    return {"action": action, "bug": name, "node": "n0", "epoch": epoch, "detail": ""}


@pytest.mark.parametrize(
    ("complaint", "damage"), DAMAGE, ids=[f"{i}-{what}" for i, (what, _) in enumerate(DAMAGE)]
)
def test_damage_is_seen(
    busy: ClusterStore, complaint: str, damage: Callable[[object, str], object]
) -> None:
    damage(busy.client, busy.prefix)

    assert any(complaint in line for line in violations(busy)), violations(busy)


@pytest.mark.parametrize("damage", [damage for _, damage in DAMAGE], ids=range(len(DAMAGE)))
def test_what_the_doctor_says_is_mended_by_itself_is(
    busy: ClusterStore, clock: Clock, damage: Callable[[object, str], object]
) -> None:
    damage(busy.client, busy.prefix)
    promised = {
        line
        for line in violations(busy)
        if "look again in a minute" in about_violation(line, Settings()).advice
    }

    busy.mend()
    for _ in range(6):
        for seen in busy.snapshot().live:
            busy.heartbeat(seen.worker_id, seen.incarnation, {})
        pass_time(busy, clock, 2)

    assert promised.isdisjoint(violations(busy))


def test_a_bug_that_waits_beside_a_free_node_is_seen(store: ClusterStore) -> None:
    node(store, "n0")
    store.submit([bug("a", agents=9), bug("b")])
    store.client.hset(f"{store.prefix}bug:a", "state", "DONE")
    store.client.hset(f"{store.prefix}node:n0", "free", "9")

    assert "bug b waits, while node n0 has 9 agents free" in violations(store)


def test_a_look_is_bounded(store: ClusterStore) -> None:
    store.submit([bug(f"b{i}") for i in range(300)])

    assert violations(store, most=20) == []


def test_nothing_is_wrong_while_the_cluster_works(live_store: ClusterStore) -> None:
    """Everything that it reads changes under it."""
    life, _ = node(live_store, "n0", agents=9)
    url = live_store.client.connection_pool.connection_kwargs
    namespace = live_store.prefix[1:-2]

    def work() -> None:
        from fixwurx_celery.store import connect

        address = f"redis://:{url.get('password') or ''}@{url['host']}:{url['port']}/{url['db']}"
        store = ClusterStore(connect(address), Settings(namespace=namespace))
        for i in range(300):
            for run in running(store, life, bug(f"b{i}-0"), bug(f"b{i}-1", agents=1)):
                finish(store, run)
            store.submit([bug(f"w{i}", agents=9, requires=["gpu"])])
            store.cancel(f"w{i}")

    def check() -> None:
        for _ in range(10):
            wrong = violations(live_store, most=200)
            assert wrong == [], wrong

    all_at_once([work, check])
