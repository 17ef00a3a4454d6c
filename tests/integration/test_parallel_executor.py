"""FixWurx's executor over a real store. Nodes are registered and run by the test, no process is."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any

import pytest

from fixwurx_celery import AsyncBugQueue, ParallelExecutor
from fixwurx_celery.cluster import ClusterResourceManager, Connection, ResourceManager
from fixwurx_celery.domain.bugs import Bug, BugState
from fixwurx_celery.errors import BugUnknown, InputError, LineFull, WaitTimeout
from fixwurx_celery.integrations.translation import bug_of, priority_of
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import BugRecord, ClusterStore


class Phase(Enum):
    TRIAGE = auto()
    PATCH = auto()


@dataclass
class SomeBug:
    """As FixWurx's are."""

    bug_id: str
    phase: Phase = Phase.TRIAGE
    timer: int = 0
    entropy: float | None = None
    lock: Any = None


class SomeScheduler:
    """As FixWurx's is; both of its methods occur plain and async."""

    def __init__(self, *bugs: SomeBug) -> None:
        self.active = {bug.bug_id: bug for bug in bugs}
        self.complete: list[str] = []
        self.fails = 0

    def add(self, *bugs: SomeBug) -> None:
        self.active |= {bug.bug_id: bug for bug in bugs}

    async def get_active_bugs(self) -> list[SomeBug]:
        return list(self.active.values())

    def create_engine_for_bug(self, bug: SomeBug) -> object:
        raise AssertionError(f"engines are made on nodes, not here: {bug}")

    def mark_bug_complete(self, bug_id: str) -> None:
        if self.fails:
            self.fails -= 1
            raise RuntimeError("the scheduler is out of order")
        self.complete.append(bug_id)
        self.active.pop(bug_id, None)


class AsyncScheduler(SomeScheduler):
    async def mark_bug_complete(self, bug_id: str) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().mark_bug_complete(bug_id)


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    with Connection(settings) as made:
        yield made


@pytest.fixture
def manager(connection: Connection) -> ClusterResourceManager:
    return ClusterResourceManager(connection=connection)


def node(store: ClusterStore, name: str = "n1@h", agents: int = 3) -> None:
    assert isinstance(store.register(name, f"life-of-{name}", f"{agents}|", {}), list)


def run_all(store: ClusterStore, *names: str, state: BugState = BugState.DONE) -> list[str]:
    """Runs, in the order of their assignment, what nodes hold, until nothing is left."""
    ran: list[str] = []
    while held := sorted(
        (record.epoch, record.id)
        for one in store.snapshot().live
        for record in store.bugs(list(one.bugs))
    ):
        epoch, bug_id = held[0]
        record = store.bug(bug_id)
        where = str(record.worker_id)
        store.start(bug_id, where, f"life-of-{where}", epoch, "r")
        store.finish(bug_id, where, f"life-of-{where}", epoch, "r", state, {"by": where})
        ran.append(bug_id)
    return ran


async def ticking(
    what: str, executor: ParallelExecutor, is_so: Callable[[], object], within_s: float = 10
) -> None:
    """Ticks until it is so."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"{what}: not within {within_s:g} s"
        await executor.tick_all()
        await asyncio.sleep(0.01)


def in_loop(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [SomeScheduler, AsyncScheduler])
def test_new_bugs_are_handed_over_and_each_is_completed_once(
    manager: ClusterResourceManager, connection: Connection, kind: type[SomeScheduler]
) -> None:
    scheduler = kind(SomeBug("a"), SomeBug("b"))
    seen: list[tuple[str, Any]] = []

    async def work() -> None:
        async with ParallelExecutor(
            scheduler, manager, on_end=lambda record: seen.append((record.id, record.outcome))
        ) as executor:
            store = connection.store
            await ticking("all are in line", executor, lambda: store.snapshot().waiting == 2)
            scheduler.add(SomeBug("c"))
            await ticking("c is in line", executor, lambda: store.snapshot().waiting == 3)
            assert executor.get_executor_metrics() == {
                "in_flight": 3, "held_back": 0, "completed": 0, "trouble": "",
            }  # fmt: skip
            node(store)
            assert run_all(store) == ["a", "b", "c"]
            await ticking("all are complete", executor, lambda: len(scheduler.complete) == 3)
            for _ in range(5):
                await executor.tick_all()
            assert executor.get_executor_metrics()["in_flight"] == 0

    in_loop(work)
    assert sorted(scheduler.complete) == ["a", "b", "c"]
    assert dict(seen) == {name: {"by": "n1@h"} for name in "abc"}
    assert len(seen) == 3


def test_an_ended_bug_is_complete_for_the_next_executor_and_runs_once(
    manager: ClusterResourceManager, connection: Connection
) -> None:
    """The program died before it heard of the end, and starts again with the same bugs."""
    node(connection.store)
    manager.enqueue("a")
    run_all(connection.store)
    scheduler = SomeScheduler(SomeBug("a"), SomeBug("b"))

    async def work() -> None:
        async with ParallelExecutor(scheduler, manager) as executor:
            await ticking("a is complete", executor, lambda: scheduler.complete)
            await executor.tick_all()
            scheduler.add(SomeBug("a"))  # and is listed again
            await ticking("again", executor, lambda: scheduler.complete == ["a", "a"])

    in_loop(work)
    assert connection.store.bug("a").runs == 1


def test_a_bug_that_stays_listed_is_not_completed_again(
    manager: ClusterResourceManager, connection: Connection
) -> None:
    node(connection.store)
    scheduler = SomeScheduler(SomeBug("a"))

    async def work() -> None:
        async with ParallelExecutor(scheduler, manager) as executor:
            await ticking("it is assigned", executor, lambda: manager.has("a"))
            run_all(connection.store)
            await ticking("a is complete", executor, lambda: scheduler.complete)
            scheduler.active = {"a": SomeBug("a")}
            for _ in range(20):
                await executor.tick_all()
                await asyncio.sleep(0.01)

    in_loop(work)
    assert scheduler.complete == ["a"]


def test_a_scheduler_that_fails_is_told_again(
    manager: ClusterResourceManager, connection: Connection
) -> None:
    node(connection.store)
    scheduler = SomeScheduler(SomeBug("a"))
    scheduler.fails = 2

    async def work() -> None:
        async with ParallelExecutor(scheduler, manager) as executor:
            await ticking("it is assigned", executor, lambda: manager.has("a"))
            run_all(connection.store)
            failures = 0
            deadline = time.monotonic() + 10
            while not scheduler.complete and time.monotonic() < deadline:
                try:
                    await executor.tick_all()
                except RuntimeError:
                    failures += 1
                await asyncio.sleep(0.01)
            assert failures == 2

    in_loop(work)
    assert scheduler.complete == ["a"]


def test_the_lower_the_entropy_the_sooner_also_when_it_changes(
    manager: ClusterResourceManager, connection: Connection
) -> None:
    entropies = {"a": 5.0, "b": 1.5, "c": 8.0, "d": 1.5}
    scheduler = SomeScheduler(*(SomeBug(name, entropy=bits) for name, bits in entropies.items()))

    def priorities() -> dict[str, int]:
        return {record.id: record.priority for record in connection.store.bugs(list(entropies))}

    async def work() -> None:
        async with ParallelExecutor(scheduler, manager) as executor:
            await ticking("all wait", executor, lambda: connection.store.snapshot().waiting == 4)
            assert priorities() == {"a": -250, "b": -75, "c": -400, "d": -75}
            scheduler.active["c"].entropy = 0.5
            await ticking("c is urgent", executor, lambda: priorities()["c"] == -25)
            node(connection.store)
            assert run_all(connection.store) == ["c", "b", "d", "a"]

    in_loop(work)


def test_entropies_that_the_scheduler_keeps_count_too(
    manager: ClusterResourceManager, connection: Connection
) -> None:
    @dataclass
    class Metrics:
        current_entropy: float

    scheduler = SomeScheduler(SomeBug("a"), SomeBug("b"))
    scheduler.bug_metrics = {"a": Metrics(3.0), "b": Metrics(2.0)}  # type: ignore[attr-defined]

    async def work() -> None:
        async with ParallelExecutor(scheduler, manager) as executor:
            await ticking("all wait", executor, lambda: connection.store.snapshot().waiting == 2)

    in_loop(work)
    assert connection.store.bug_ids() == ["b", "a"]


def test_what_the_cluster_refuses_is_held_back_and_offered_again(settings: Settings) -> None:
    narrow = Settings(redis_url=settings.redis_url, namespace=settings.namespace, max_waiting=2)
    scheduler = SomeScheduler(*(SomeBug(f"b{n}") for n in range(5)))

    async def work() -> None:
        with Connection(narrow) as connection:
            manager = ClusterResourceManager(connection=connection)
            async with ParallelExecutor(scheduler, manager) as executor:
                await ticking("three are held", executor, lambda: len(executor.held_back) == 3)
                assert manager.get_backlog()["waiting"] == manager.get_backlog()["max_waiting"] == 2
                assert "2 bugs wait already" in executor.held_back["b4"]
                node(connection.store)
                ran: list[str] = []

                def all_ran() -> bool:
                    ran.extend(run_all(connection.store))
                    return len(ran) == 5

                await ticking("all have run", executor, all_ran)
                await ticking("complete", executor, lambda: len(scheduler.complete) == 5)
                assert executor.held_back == {}
                assert ran == ["b0", "b1", "b2", "b3", "b4"], "none overtakes another"

    in_loop(work)


def test_a_bug_that_cannot_be_taken_is_held_back_alone(
    manager: ClusterResourceManager, connection: Connection
) -> None:
    scheduler = SomeScheduler(SomeBug("not an id"), SomeBug("b"))

    async def work() -> None:
        async with ParallelExecutor(scheduler, manager) as executor:
            await ticking("b waits", executor, lambda: connection.store.snapshot().waiting == 1)
            assert "must be letters, digits" in executor.held_back["not an id"]
            del scheduler.active["not an id"]
            await executor.tick_all()
            assert executor.held_back == {}

    in_loop(work)


def test_a_bug_that_the_store_lost_is_handed_over_again(
    manager: ClusterResourceManager, connection: Connection
) -> None:
    scheduler = SomeScheduler(SomeBug("a"))
    store = connection.store

    async def work() -> None:
        async with ParallelExecutor(scheduler, manager) as executor:
            await ticking("it waits", executor, lambda: store.snapshot().waiting == 1)
            assert store.release("a")[0] == "RELEASED"
            await ticking("it waits again", executor, lambda: store.snapshot().waiting == 1)

    in_loop(work)


def test_a_store_that_hangs_does_not_hold_up_the_loop() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # it accepts, and never answers
        port = deaf.getsockname()[1]
        connection = Connection(Settings(redis_url=f"redis://127.0.0.1:{port}/0"))
        executor = ParallelExecutor(
            SomeScheduler(SomeBug("a")), ClusterResourceManager(connection=connection)
        )

        async def work() -> None:
            began = time.monotonic()
            for _ in range(100):
                await executor.tick_all()
            assert time.monotonic() - began < 2, "one call would have waited for 5 s"
            assert executor.get_executor_metrics()["in_flight"] == 0

        in_loop(work)
        deaf.close()
        executor.close()
        connection.close()


def test_only_a_cluster_will_do() -> None:
    with pytest.raises(TypeError, match="give it a ClusterResourceManager, not ResourceManager"):
        ParallelExecutor(SomeScheduler(), ResourceManager())  # type: ignore[arg-type]


# -- bugs as FixWurx has them ------------------------------------------------------------------


def test_fields_that_json_can_hold_are_the_payload() -> None:
    @dataclass
    class Part:
        file: Path = Path("a.py")
        odd: float = float("inf")

    @dataclass
    class Rich(SomeBug):
        parts: list[Part] = field(default_factory=lambda: [Part()])
        tags: set[str] = field(default_factory=lambda: {"b", "a"})
        _secret: str = "s"
        agents: int = 6
        requires: list[str] = field(default_factory=lambda: ["gpu"])

    made = bug_of(Rich("r", phase=Phase.PATCH, lock=object(), entropy=2.0), 2.0)

    assert made == Bug(
        id="r",
        agents=6,
        requires=frozenset({"gpu"}),
        priority=-100,
        payload={
            "bug_id": "r", "phase": "PATCH", "timer": 0, "entropy": 2.0,
            "parts": [{"file": "a.py", "odd": None}], "tags": ["a", "b"], "agents": 6,
            "requires": ["gpu"],
        },
    )  # fmt: skip


def test_what_is_a_bug_already_stays_as_it_is() -> None:
    bug = Bug(id="b", payload={"x": 1}, priority=3)

    assert bug_of(bug) is bug
    assert bug_of(bug, 0.5).priority == -25
    assert bug_of("b") == Bug(id="b")
    for nonsense in (object(), 3, SomeBug("")):
        with pytest.raises(InputError, match="cannot be taken"):
            bug_of(nonsense)


def test_a_bug_in_a_circle_is_cut_off_somewhere() -> None:
    bug = SomeBug("b")
    bug.lock = [bug]

    assert 100 < len(json.dumps(bug_of(bug).payload)) < 10_000


@pytest.mark.parametrize(
    ("entropy", "priority"),
    [(0, 0), (-1, 0), (0.02, -1), (8, -400), (20, -1000), (1e9, -1000), (float("nan"), -1000)],
)
def test_entropy_becomes_priority(entropy: float, priority: int) -> None:
    assert priority_of(entropy) == priority


# -- asyncio -----------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def line(manager: ClusterResourceManager) -> Any:
    made = AsyncBugQueue(manager)
    try:
        yield made
    finally:
        made.close()


def test_an_event_loop_hands_over_and_awaits_outcomes(
    manager: ClusterResourceManager, connection: Connection
) -> None:
    async def work() -> None:
        async with line(manager) as bugs:
            assert await bugs.enqueue(SomeBug("a"), entropy=3.0) == "a"
            assert await bugs.enqueue_many(["b", "c"], {"c": 1.0}) == ["b", "c"]
            assert await bugs.enqueue("a") == "a", "harmless to repeat"
            assert (await bugs.backlog())["waiting"] == 3
            assert sorted(await bugs.reprioritise({"a": 0.1, "nobody": 1.0})) == ["a"]
            awaited = [asyncio.create_task(bugs.outcome(name)) for name in "aabc"]
            with pytest.raises(WaitTimeout, match=r"bug a had not ended after 0\.05 s"):
                await bugs.outcome("a", timeout=0.05)
            with pytest.raises(BugUnknown):
                await bugs.outcome("nobody", timeout=10)
            node(connection.store)
            assert run_all(connection.store) == ["b", "a", "c"]
            outcomes = await asyncio.wait_for(asyncio.gather(*awaited), timeout=10)
            assert outcomes == [{"by": "n1@h"}] * 4
            assert await bugs.outcome("a", timeout=10) == {"by": "n1@h"}, "also when asked later"
            assert await bugs.cancel("a") == "DONE"

    in_loop(work)


def test_a_refusal_reaches_the_awaiting_caller(settings: Settings) -> None:
    narrow = Settings(redis_url=settings.redis_url, namespace=settings.namespace, max_waiting=1)

    async def work() -> None:
        with Connection(narrow) as connection:
            async with line(ClusterResourceManager(connection=connection)) as bugs:
                await bugs.enqueue("a")
                with pytest.raises(LineFull):
                    await bugs.enqueue("b")
                assert isinstance((await bugs.enqueue_many(["b"]))[0], LineFull)

    in_loop(work)


def test_a_record_is_given_to_the_program(
    manager: ClusterResourceManager, connection: Connection
) -> None:
    """`on_end` may look at all of it."""
    node(connection.store)
    records: list[BugRecord] = []
    scheduler = SomeScheduler(SomeBug("a"))

    async def work() -> None:
        async with ParallelExecutor(scheduler, manager, on_end=records.append) as executor:
            await ticking("it is assigned", executor, lambda: manager.has("a"))
            run_all(connection.store, state=BugState.ESCALATED)
            await ticking("it is complete", executor, lambda: scheduler.complete)

    in_loop(work)
    assert [(record.id, record.state) for record in records] == [("a", BugState.ESCALATED)]
