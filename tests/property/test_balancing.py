"""Laws of choosing a node, under as many submitters at once as there may be.

The event log is written by the script that reserves, so what it says of every instant is exact.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pytest

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.domain.nodes import BalancingStrategy
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore, Started
from fixwurx_celery.store.event_log import whole_log
from fixwurx_celery.store.history import History, check
from fixwurx_celery.store.invariants import violations
from tests.support.cluster import bug, node, nodes
from tests.support.processes_apart import all_at_once

MakeStore = Callable[..., ClusterStore]
SUBMITTERS = 20
EACH = 10


def submit_one_by_one(settings: Settings, number: int, labels: Sequence[str] = ()) -> None:
    store = ClusterStore.from_settings(settings)
    for i in range(EACH):
        store.submit([bug(f"b{number}-{i}", agents=1, requires=labels)])
    store.close()


@pytest.mark.parametrize(
    "strategy", [BalancingStrategy.LEAST_CONNECTIONS, BalancingStrategy.ROUND_ROBIN]
)
def test_equal_nodes_never_differ_by_more_than_one_bug(
    live_store: ClusterStore, settings: Settings, strategy: BalancingStrategy
) -> None:
    live_store.set_strategy(strategy)
    nodes(live_store, 10, agents=30)

    all_at_once([partial(submit_one_by_one, settings, n) for n in range(SUBMITTERS)])

    history, taken = History(), 0
    for event in whole_log(live_store):
        assert history.feed(event) == []
        counts = [len(bugs) for bugs in history.held.values()]
        assert len(counts) < 10 or max(counts) - min(counts) <= 1
        taken += event.action == "bug_assigned"
    assert taken == SUBMITTERS * EACH


@pytest.mark.parametrize("sizes", [[2, 8], [2, 2, 8, 8, 8], [1, 2, 4]])
def test_weighted_fills_nodes_in_proportion_to_their_agents_at_every_prefix(
    live_store: ClusterStore, sizes: list[int]
) -> None:
    for i, agents in enumerate(sizes):
        node(live_store, f"n{i}", agents)

    live_store.submit([bug(f"b{i}", agents=1) for i in range(sum(sizes))])

    taken: Counter[str] = Counter()
    order = [e.node for e in whole_log(live_store) if e.action == "bug_assigned"]
    assert len(order) == sum(sizes)
    for k, name in enumerate(order, 1):
        taken[name] += 1
        for i, agents in enumerate(sizes):
            share = k * agents / sum(sizes)
            assert abs(taken[f"n{i}"] - share) <= 1, f"after {k}: {dict(taken)}"


def test_ties_do_not_always_go_to_the_first_name(live_store: ClusterStore) -> None:
    nodes(live_store, 5)
    chosen = set()
    for i in range(5):
        live_store.submit([bug(f"b{i}")])
        chosen.add(live_store.bug(f"b{i}").worker_id)
        live_store.release(f"b{i}")

    assert chosen == {f"n{i}" for i in range(5)}


@pytest.mark.parametrize("at_once", [1, 1000], ids=["one-call-each", "one-call"])
def test_random_is_uniform(make_store: MakeStore, at_once: int) -> None:
    """Pearson's chi-square over 10 nodes: 27.9 is passed once in a thousand; the seed is fixed."""
    store = make_store()
    store.set_strategy(BalancingStrategy.RANDOM)
    nodes(store, 10, agents=1000)
    count = 1000
    bugs = [bug(f"b{i}", agents=1) for i in range(count)]
    for start in range(0, count, at_once):
        store.submit(bugs[start : start + at_once])

    counts = [len(seen.bugs) for seen in store.snapshot().nodes]

    expected = count / 10
    assert sum(counts) == count
    assert sum((seen - expected) ** 2 / expected for seen in counts) < 27.9
    assert len(set(counts)) > 1, "random is not round robin"


def test_random_is_random_also_where_capacity_comes_back(make_store: MakeStore) -> None:
    """A bug that fails over is dispatched by scripts that are not `submit`."""
    store = make_store()
    store.set_strategy(BalancingStrategy.RANDOM)
    home, _ = node(store, "home", agents=1, labels=["gpu"])
    store.submit([bug("a", agents=1, requires=["gpu"])])
    landed = []
    others = [node(store, f"n{i}", agents=1, labels=["gpu"])[0] for i in range(6)]
    lives = {life.node: life for life in [home, *others]}
    for _ in range(40):
        record = store.bug("a")
        assert record.worker_id is not None
        store.drain(record.worker_id, 30)
        store.resume(record.worker_id)
        landed.append(store.bug("a").worker_id)

    assert len(set(landed)) >= 5
    assert len(lives) == 7


@pytest.mark.parametrize("strategy", BalancingStrategy)
def test_a_node_without_the_capability_never_gets_the_bug(
    live_store: ClusterStore, settings: Settings, strategy: BalancingStrategy
) -> None:
    live_store.set_strategy(strategy)
    nodes(live_store, 5, agents=30)
    for i in range(3):
        node(live_store, f"gpu{i}", agents=30, labels=["arm", "gpu"])

    all_at_once([partial(submit_one_by_one, settings, n, ["gpu"]) for n in range(SUBMITTERS)])

    given = {e.node for e in whole_log(live_store) if e.action == "bug_assigned"}
    assert given == {"gpu0", "gpu1", "gpu2"}
    assert live_store.snapshot().waiting == SUBMITTERS * EACH - 90
    assert violations(live_store) == []


def live(settings: Settings, number: int) -> None:
    """Submits, starts, ends, cancels and gives back at random, as nodes and users do."""
    store = ClusterStore.from_settings(settings)
    rng = random.Random(number)
    for i in range(80):
        name = f"b{number}-{i}"
        todo = store.submit([bug(name, agents=number % 3 + 1, priority=rng.randrange(3))])[1]
        # Rings again what those who were killed had in hand.
        todo += store.sweep().assignments
        lives = {n.worker_id: n.incarnation for n in store.snapshot().nodes}
        beating = rng.choice(sorted(lives))
        told = store.heartbeat(beating, lives[beating], {})
        todo += told.assignments if told else []
        while todo:
            a = todo.pop()
            life = lives.get(a.worker_id, "gone")
            begun = store.start(a.bug_id, a.worker_id, life, a.epoch, name)
            if not isinstance(begun, Started):
                continue
            dice = rng.random()
            if dice < 0.6:
                todo += (
                    store.finish(a.bug_id, a.worker_id, life, a.epoch, name, BugState.DONE, {})
                    or []
                )
            elif dice < 0.7:
                charge = rng.choice(["losses", "", "", "", ""])
                todo += store.fail_attempt(a.bug_id, a.worker_id, life, a.epoch, charge, "x")[1]
            elif dice < 0.8:
                store.cancel(a.bug_id)
                todo += (
                    store.finish(a.bug_id, a.worker_id, life, a.epoch, name, BugState.CANCELLED, {})
                    or []
                )
            else:
                todo += store.release(a.bug_id)[1]
    store.close()


def test_agents_are_never_over_committed_by_processes_that_are_killed_at_random(
    live_store: ClusterStore, settings: Settings
) -> None:
    settings = replace(settings, ring_after_sec=0.2, lease_sec=2, max_losses=100)
    sizes = {f"n{i}": agents for i, agents in enumerate([2, 3, 9, 9, 4])}
    for name, agents in sizes.items():
        node(live_store, name, agents)
    rng = random.Random(4)
    doomed = {n for n in range(SUBMITTERS) if n % 2}

    all_at_once(
        [partial(live, settings, n) for n in range(SUBMITTERS)],
        kill=lambda number: number in doomed and rng.random() < 0.01,
    )

    events = list(whole_log(live_store))
    assert sum(event.action == "bug_assigned" for event in events) > 300
    assert check(events) == []
    assert violations(live_store) == []
