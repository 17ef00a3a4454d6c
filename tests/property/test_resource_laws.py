"""The laws of FixWurx's ResourceManager hold for one process's agents and for a cluster's: the same
sequences of calls, and the same race of eight processes or threads, on both."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixwurx_celery import ClusterResourceManager, ResourceManager
from fixwurx_celery.cluster import Connection
from fixwurx_celery.settings import Settings
from tests.support.processes_apart import all_at_once

Manager: TypeAlias = ResourceManager | ClusterResourceManager
MakeManager: TypeAlias = Callable[[], Manager]

NODES: Final = 3
AGENTS: Final = 9
"""A multiple of three, so that no node has agents left over that no bug fits on."""
TOTAL: Final = NODES * AGENTS
MOST: Final = TOTAL // 3
BUGS: Final = [f"BUG-{n}" for n in range(MOST + 4)]
AT_ONCE: Final = 8


@contextmanager
def cluster(redis_url: str, namespace: str) -> Iterator[MakeManager]:
    """Managers of a cluster of three nodes, each with a connection of its own."""
    opened: list[Connection] = []

    def make() -> Manager:
        opened.append(Connection(Settings(redis_url=redis_url, namespace=namespace)))
        return ClusterResourceManager(connection=opened[-1])

    manager = make()
    for n in range(NODES):
        manager.connection.store.register(f"n{n}@h", f"life{n}", f"{AGENTS}|", {})  # type: ignore[union-attr]
    try:
        yield make
    finally:
        for connection in opened:
            connection.close()


@pytest.fixture(params=["process", "cluster"])
def make_manager(request: pytest.FixtureRequest) -> Iterator[MakeManager]:
    if request.param == "process":
        one = ResourceManager(TOTAL)
        yield lambda: one
    else:
        url, namespace = (request.getfixturevalue(name) for name in ("redis_url", "namespace"))
        with cluster(url, namespace) as make:
            yield make


def check_books(manager: Manager, held: set[str]) -> None:
    """What is free and what is held add up, by name."""
    status = manager.get_allocation_status()
    assert set(status["active_bugs"]) == held
    assert len(status["active_bugs"]) == len(held)
    assert status["total_agents"] == manager.total_agents == TOTAL
    assert status["free_agents"] == manager.free == TOTAL - 3 * len(held)
    assert 0 <= manager.free <= manager.total_agents
    assert manager.can_allocate() == (manager.free >= manager.AGENTS_PER_BUG)


CALLS = st.lists(
    st.tuples(st.sampled_from(["allocate", "free_agents", "has"]), st.sampled_from(BUGS)),
    max_size=40,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(calls=CALLS)
def test_any_sequence_of_calls_keeps_the_books(
    make_manager: MakeManager, calls: list[tuple[str, str]]
) -> None:
    manager = make_manager()
    held: set[str] = set()
    for call, bug in calls:
        answer = getattr(manager, call)(bug)
        match call:
            case "allocate":
                assert answer is (bug in held or len(held) < MOST), "it takes what there is, once"
                held |= {bug} if answer else set()
            case "free_agents":
                assert answer is (bug in held), "it frees what there is, once"
                held.discard(bug)
            case _:
                assert answer is (bug in held)
        check_books(manager, held)
    for bug in held:
        assert manager.free_agents(bug)
    check_books(manager, set())


def race(make: MakeManager, number: int, rounds: int) -> None:
    """One of eight: takes and frees bugs of its own at random, and one that all share. What it
    holds stays its own throughout, and nobody ever sees more taken than there is."""
    manager, draw = make(), random.Random(number)
    mine = [f"R{number}-{n}" for n in range(6)]
    held: set[str] = set()
    for _ in range(rounds):
        bug = draw.choice(mine)
        if bug in held:
            assert manager.has(bug), f"{bug} was taken from its holder"
            assert manager.free_agents(bug)
            held.discard(bug)
        elif manager.allocate(bug):
            held.add(bug)
        status: dict[str, Any] = manager.get_allocation_status()
        assert 0 <= status["free_agents"] <= status["total_agents"] == TOTAL
        assert status["free_agents"] == TOTAL - 3 * len(status["active_bugs"])
        assert held <= set(status["active_bugs"])
    for bug in held:
        assert manager.free_agents(bug)


def test_eight_processes_at_once_share_a_clusters_agents(redis_url: str, namespace: str) -> None:
    with cluster(redis_url, namespace) as make:
        jobs = [lambda number=number: race(make, number, 400) for number in range(AT_ONCE)]  # type: ignore[misc]

        all_at_once(jobs, within_s=100)

        check_books(make(), set())


def test_eight_processes_at_once_have_agents_each_of_their_own() -> None:
    """FixWurx's own counts for its process alone: eight of them do not see one another."""
    one = ResourceManager(TOTAL)

    all_at_once(
        [lambda number=number: race(lambda: one, number, 2000) for number in range(AT_ONCE)],  # type: ignore[misc]
        within_s=60,
    )

    check_books(one, set())


def test_eight_threads_at_once_share_the_agents(make_manager: MakeManager) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            race(make_manager, number, 60)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=100)

    assert not failures, failures
    assert not any(thread.is_alive() for thread in threads)
    check_books(make_manager(), set())
