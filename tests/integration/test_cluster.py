"""FixWurx's services over a real store. Nodes are registered, no process runs."""

import base64
import dataclasses
import json
import operator
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fixwurx_celery.broker import Doorbells, make_app
from fixwurx_celery.cluster import (
    BugHandle,
    ClusterResourceManager,
    Connection,
    LoadBalancer,
    ResourceManager,
    ScalingCoordinator,
)
from fixwurx_celery.cluster.handle import as_completed
from fixwurx_celery.domain.bugs import Assignment, Bug, BugState
from fixwurx_celery.domain.nodes import BalancingStrategy, WorkerState
from fixwurx_celery.errors import (
    BugUnknown,
    ConfigurationError,
    FixwurxError,
    InputError,
    LineFull,
    ReadOnly,
    StoreUnavailable,
    Unsatisfiable,
    WaitTimeout,
)
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.cluster_store import Started
from tests.support.state import remove_namespace


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    with Connection(settings) as made:
        yield made


@pytest.fixture
def coordinator(connection: Connection) -> ScalingCoordinator:
    made = ScalingCoordinator(connection=connection)
    for name in ("n1@h", "n2@h"):
        made.register_worker(name, incarnation=f"life-of-{name}", total_agents=9)
    return made


@pytest.fixture
def manager(coordinator: ScalingCoordinator) -> Iterator[ClusterResourceManager]:
    made = ClusterResourceManager(scaling_coordinator=coordinator)
    yield made
    made.stop_sync()


def end(store: ClusterStore, bug_id: str, outcome: object) -> None:
    """Runs the bug to its end, as its node would."""
    record = store.bug(bug_id)
    node, life = str(record.worker_id), f"life-of-{record.worker_id}"
    assert isinstance(store.start(bug_id, node, life, record.epoch, "r"), Started)
    assert store.finish(bug_id, node, life, record.epoch, "r", BugState.DONE, outcome) is not None


def test_without_a_store_the_error_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="FIXWURX_REDIS_URL"):
        Connection(Settings())


def test_an_unreachable_store_is_one_clear_error() -> None:
    connection = Connection(Settings(redis_url="redis://:secret@127.0.0.1:1/0"))

    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="cannot reach the store") as raised:
        connection.submit([Bug(id="b")])

    assert "secret" not in str(raised.value)
    assert time.monotonic() - began < 10


def test_six_bugs_fit_and_the_seventh_waits(manager: ClusterResourceManager) -> None:
    handles = manager.enqueue_many([f"BUG-{i}" for i in range(7)])

    states = [handle.state() for handle in handles if isinstance(handle, BugHandle)]

    assert states == [BugState.ASSIGNED] * 6 + [BugState.PENDING]
    assert (manager.total_agents, manager.free) == (18, 0)
    assert not manager.can_allocate()
    assert sorted(manager.bug_assignments) == [f"BUG-{i}" for i in range(6)]


def test_enqueueing_twice_is_once(manager: ClusterResourceManager) -> None:
    manager.enqueue("BUG-1")
    manager.enqueue("BUG-1")

    assert manager.get_allocation_status() == {
        "total_agents": 18, "free_agents": 15, "active_bugs": ["BUG-1"],
    }  # fmt: skip


def test_a_handle_waits_for_the_outcome(manager: ClusterResourceManager) -> None:
    handle = manager.enqueue(Bug(id="BUG-1"))
    seen: list[object] = []
    waiting = threading.Thread(target=lambda: seen.append(handle.wait(timeout=10)))
    waiting.start()

    end(manager.connection.store, "BUG-1", {"outcome": "FIXED"})
    waiting.join(timeout=10)

    assert seen == [{"outcome": "FIXED"}]
    assert handle.wait(timeout=1) == {"outcome": "FIXED"}


def test_waiting_ends_with_the_patience_of_the_caller(manager: ClusterResourceManager) -> None:
    with pytest.raises(WaitTimeout, match=r"BUG-1 had not ended after 0\.2 s"):
        manager.enqueue("BUG-1").wait(timeout=0.2)
    with pytest.raises(BugUnknown, match="no bug BUG-2"):
        manager.handle("BUG-2").wait(timeout=0.2)


def test_as_completed_answers_each_once_as_they_end(manager: ClusterResourceManager) -> None:
    store = manager.connection.store
    manager.enqueue_many(["a", "b", "c"])
    end(store, "b", {"outcome": "FIXED"})
    following = as_completed(manager.connection, ["a", "b", "c"], timeout=10)

    first = next(following)
    end(store, "c", {"outcome": "FIXED"})
    second = next(following)
    manager.handle("a").cancel()

    assert [first.id, second.id] == ["b", "c"]
    assert [record.id for record in following] == ["a"]


def test_waiting_for_a_bug_that_the_store_loses_ends_with_bug_unknown(
    manager: ClusterResourceManager,
) -> None:
    store = manager.connection.store
    manager.enqueue_many(["a", "b"])
    end(store, "a", {"outcome": "FIXED"})
    following = as_completed(manager.connection, ["a", "b"], timeout=20)
    first = next(following)

    remove_namespace(store.client, manager.connection.settings.namespace)

    assert first.id == "a"
    with pytest.raises(BugUnknown, match="submit it again") as lost:
        next(following)
    assert lost.value.bug_id == "b"


def test_refusals_name_the_reason(settings: Settings, coordinator: ScalingCoordinator) -> None:
    narrow = dataclasses.replace(settings, max_waiting=1)
    with Connection(narrow) as connection:
        manager = ClusterResourceManager(connection=connection)
        results = manager.enqueue_many([f"b{i}" for i in range(8)])

        assert [type(result) for result in results] == [BugHandle] * 7 + [LineFull]
        with pytest.raises(Unsatisfiable, match="needs 10 agents at once and the largest"):
            manager.enqueue(Bug(id="big", agents=10))
        with pytest.raises(FixwurxError, match="1 bugs wait already"):
            manager.enqueue("b9")


def test_allocate_reserves_on_a_node_and_refuses_rather_than_waits(
    manager: ClusterResourceManager,
) -> None:
    assert manager.can_allocate()

    taken = [manager.allocate(f"BUG-{i}") for i in range(7)]

    assert taken == [True] * 6 + [False]
    assert manager.allocate("BUG-0"), "repeating it is harmless"
    assert manager.get_worker_for_bug("BUG-0") in ("n1@h", "n2@h")
    assert manager.has("BUG-0")
    assert not manager.has("BUG-6")
    assert manager.free_agents("BUG-0")
    assert not manager.free_agents("BUG-0")
    assert manager.allocate("BUG-6")


def test_reservations_end_with_their_process(
    settings: Settings, coordinator: ScalingCoordinator
) -> None:
    short = dataclasses.replace(settings, lease_sec=2)
    with Connection(short) as connection:
        manager = ClusterResourceManager(connection=connection, sync_interval_sec=0.3)
        manager.start_sync()
        assert manager.allocate("kept")
        gone = ClusterResourceManager(connection=connection)  # never syncs: as good as dead
        assert gone.allocate("dropped")

        deadline = time.monotonic() + 10
        while gone.has("dropped") and time.monotonic() < deadline:
            connection.store.sweep()
            for name in ("n1@h", "n2@h"):
                connection.store.heartbeat(name, f"life-of-{name}", {})
            time.sleep(0.1)

        assert not gone.has("dropped")
        assert manager.has("kept")
        manager.stop_sync()
        assert not manager.has("kept"), "stop_sync frees what this process reserved"


def test_the_strategy_is_the_clusters_and_changes_live(
    manager: ClusterResourceManager, coordinator: ScalingCoordinator
) -> None:
    balancer = LoadBalancer(BalancingStrategy.ROUND_ROBIN, coordinator)
    balancer.start()
    other = LoadBalancer(connection=coordinator.connection)

    assert other.strategy is BalancingStrategy.ROUND_ROBIN
    assert other.set_balancing_strategy("random") is BalancingStrategy.ROUND_ROBIN
    assert balancer.get_balancer_metrics()["strategy"] == "RANDOM"
    with pytest.raises(ValueError, match="'fastest' is not a valid"):
        LoadBalancer("fastest", coordinator)


def test_select_worker_reserves_by_requirements(coordinator: ScalingCoordinator) -> None:
    coordinator.register_worker(
        "gpu@h", incarnation="g", total_agents=3, capabilities=frozenset({"gpu"})
    )
    balancer = LoadBalancer(scaling_coordinator=coordinator)

    assert balancer.select_worker("t1", ["gpu"]) == "gpu@h"
    assert balancer.select_worker("t2", ["gpu"]) is None
    assert balancer.release_task("t1")
    assert balancer.select_worker("t2", ["gpu"]) == "gpu@h"
    metrics = {entry["worker_id"]: entry for entry in balancer.get_worker_metrics()}
    assert metrics["gpu@h"]["available_capacity"] == 0
    assert metrics["gpu@h"]["load_percentage"] == 100


def test_the_coordinator_sees_what_is_there(
    manager: ClusterResourceManager, coordinator: ScalingCoordinator
) -> None:
    manager.enqueue("BUG-1")

    assert coordinator.get_cluster_capacity() == 18
    assert coordinator.get_scaling_metrics()["worker_count"] == 2
    assert coordinator.get_scaling_metrics()["free_agents"] == 15
    assert coordinator.get_scaling_metrics()["utilization"] == pytest.approx(3 / 18)
    assert set(coordinator.workers) == {"n1@h", "n2@h"}
    # A live node listens on its channel; only then is a second of its name refused.
    listening = coordinator.connection.store.listen("n1@h", "life-of-n1@h")
    with pytest.raises(FixwurxError, match="a live node has this name"):
        coordinator.register_worker("n1@h", incarnation="another", total_agents=9)
    listening.close()
    assert coordinator.deregister_worker("n1@h")
    assert not coordinator.deregister_worker("n1@h")
    assert coordinator.get_worker_status("n1@h")["state"] == WorkerState.OFFLINE
    assert manager.total_agents == 9
    assert manager.get_worker_for_bug("BUG-1") == "n2@h"


CHANGES: list[Callable[[Any], object]] = [
    lambda workers: workers.pop("n1@h", None),
    lambda workers: workers.clear(),
    lambda workers: workers.popitem(),
    lambda workers: operator.delitem(workers, "n1@h"),
]
ADDITIONS: list[Callable[[Any], object]] = [
    lambda workers: operator.setitem(workers, "n3@h", workers["n1@h"]),
    lambda workers: workers.update({"n3@h": workers["n1@h"]}),
    lambda workers: workers.setdefault("n3@h", None),
]


@pytest.mark.parametrize("change", CHANGES)
def test_nodes_cannot_be_taken_out_of_the_view(
    coordinator: ScalingCoordinator, change: Callable[[Any], object]
) -> None:
    with pytest.raises(TypeError, match=r"drain\(worker_id\).*deregister_worker\(worker_id\)"):
        change(coordinator.workers)
    assert set(coordinator.workers) == {"n1@h", "n2@h"}


@pytest.mark.parametrize("addition", ADDITIONS)
def test_nodes_cannot_be_put_into_the_view(
    coordinator: ScalingCoordinator, addition: Callable[[Any], object]
) -> None:
    with pytest.raises(ReadOnly, match=r"register_worker\(\.\.\.\)"):
        addition(coordinator.workers)


def test_a_node_cannot_be_changed_through_its_picture(coordinator: ScalingCoordinator) -> None:
    node = coordinator.workers["n1@h"]

    with pytest.raises(AttributeError, match=r"set free_agents of n1@h.*allocate\(bug_id\)"):
        node.free_agents = 3  # type: ignore[misc]
    with pytest.raises(ReadOnly, match=r"update_local_metrics\(metrics\)"):
        node.metrics = {}  # type: ignore[misc]
    with pytest.raises(ReadOnly, match="set hostname of n1@h"):
        node.hostname = "x"  # type: ignore[misc]
    assert node.free_agents == 9


def test_programs_tell_of_the_local_node(
    coordinator: ScalingCoordinator, connection: Connection
) -> None:
    host = socket.gethostname()
    assert coordinator.local_worker_id == f"auto1@{host}", "no node of this host is there"
    coordinator.update_local_metrics({"queue": 3})  # nor told of
    connection.store.register(f"n@{host}", "life", "9|python", {"hostname": host})
    connection.store.heartbeat(f"n@{host}", "life", {"load": 0.5})

    assert coordinator.local_worker_id == f"n@{host}"
    coordinator.update_local_metrics({"queue": 3})
    coordinator.update_local_metrics({"queue": 4})

    assert coordinator.workers[f"n@{host}"].metrics == {"load": 0.5, "queue": 4}
    with pytest.raises(ValueError, match="must not exceed"):
        coordinator.update_local_metrics({"much": "x" * 70_000})


def test_counts_that_are_told_are_those_of_nodes_to_come(connection: Connection) -> None:
    base = ResourceManager(total_agents=9)
    coordinator = ScalingCoordinator(resource_manager=base, connection=connection)

    coordinator.update_agent_counts(12, 6)

    assert base.total_agents == 12
    with pytest.raises(ValueError, match="between 0 and total_agents 3"):
        coordinator.update_agent_counts(3, 4)


def test_a_registered_latency_counts_for_the_choice(coordinator: ScalingCoordinator) -> None:
    balancer = LoadBalancer(BalancingStrategy.WEIGHTED_CAPACITY, coordinator)
    balancer.start()

    for _ in range(5):
        assert balancer.register_task_latency("n1@h", 4000)

    metrics = {one["worker_id"]: one["response_time_ms"] for one in balancer.get_worker_metrics()}
    assert metrics["n1@h"] == pytest.approx(4000 * (1 - 0.8**5), rel=0.01)
    assert metrics["n2@h"] == 0
    assert balancer.get_balancer_metrics()["average_latency_ms"] > 1000
    assert balancer.select_worker("t") == "n2@h"
    assert not balancer.register_task_latency("nobody@h", 5)
    with pytest.raises(ValueError, match="must not be negative"):
        balancer.register_task_latency("n1@h", -1)
    balancer.stop()


def test_a_node_is_released_task_by_task(coordinator: ScalingCoordinator) -> None:
    balancer = LoadBalancer(scaling_coordinator=coordinator)
    coordinator.drain("n2@h")
    for task in ("t1", "t2", "t3"):
        assert balancer.select_worker(task) == "n1@h"

    assert balancer.release_worker("n1@h")
    assert set(coordinator.workers["n1@h"].bugs) == {"t2", "t3"}, "the oldest goes first"
    balancer.stop()
    assert not coordinator.workers["n1@h"].bugs
    assert not balancer.release_worker("n1@h")


def test_requirements_may_be_a_mapping(coordinator: ScalingCoordinator) -> None:
    balancer = LoadBalancer(scaling_coordinator=coordinator)

    assert balancer.select_worker("t1", {"agents": 9, "capabilities": []})
    assert balancer.select_worker("t2", {"agents": 9})
    assert balancer.select_worker("t3", None) is None  # type: ignore[arg-type]
    with pytest.raises(InputError, match="requirements name memory; there are capabilities"):
        balancer.select_worker("t4", {"memory": 4})
    with pytest.raises(InputError, match="'gpu' must be a list"):
        balancer.select_worker("t4", "gpu")
    with pytest.raises(InputError, match="agents 0 must be"):
        balancer.select_worker("t4", {"agents": 0})


def test_priorities_of_waiting_bugs_change_their_order(
    manager: ClusterResourceManager, connection: Connection
) -> None:
    manager.enqueue_many([Bug(id=f"full{n}", agents=9) for n in range(2)])
    manager.enqueue_many([Bug(id=name, priority=5) for name in "abcd"])

    states = manager.prioritise({"c": 7, "d": -3, "a": 5, "full0": 9, "nobody": 1})

    assert states == {
        "c": BugState.PENDING, "d": BugState.PENDING, "a": BugState.PENDING,
        "full0": BugState.ASSIGNED,
    }  # fmt: skip
    assert connection.store.bug("c").priority == 7
    assert connection.store.bug("b").priority == 5
    assert connection.store.bug_ids()[-4:] == ["c", "a", "b", "d"]
    with pytest.raises(ValueError, match="priority 1001 of a"):
        manager.prioritise({"b": 1, "a": 1001})
    assert connection.store.bug("b").priority == 5


def test_without_a_cluster_there_is_nothing_and_the_way_out_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FIXWURX_REDIS_URL", raising=False)
    coordinator = ScalingCoordinator(min_workers=1, max_workers=2)
    balancer = LoadBalancer(scaling_coordinator=coordinator)
    manager = ClusterResourceManager(ResourceManager(), coordinator, balancer)

    assert dict(coordinator.workers) == {}
    assert coordinator.get_cluster_capacity() == 0
    assert coordinator.get_worker_status() == []
    assert manager.get_allocation_status() == {
        "total_agents": 0, "free_agents": 0, "active_bugs": [],
    }  # fmt: skip
    assert balancer.get_balancer_metrics()["worker_count"] == 0
    assert not manager.can_allocate()
    assert not manager.has("b")
    assert not manager.free_agents("b")
    assert manager.get_worker_for_bug("b") is None
    for refused in (lambda: manager.allocate("b"), balancer.start, lambda: manager.enqueue("b")):
        with pytest.raises(FixwurxError, match=r"start\(\) the ScalingCoordinator first"):
            refused()
    with pytest.raises(ConfigurationError, match="FIXWURX_REDIS_URL"):
        ClusterResourceManager()


def test_bounds_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="FIXWURX_MIN_WORKERS=3 must not exceed"):
        ScalingCoordinator(min_workers=3, max_workers=2)


def test_scripts_ring_themselves_where_the_broker_is_the_store(
    connection: Connection, coordinator: ScalingCoordinator, settings: Settings
) -> None:
    """What a script writes is, to the letter, what Celery's own producer writes."""
    queue = f"{{{settings.namespace}}}:celery:fixwurx.node.n1@h"
    connection.store.drain("n2@h", 30)
    (assigned,) = connection.store.submit([Bug(id="by-script")])[0]
    by_script = json.loads(connection.store.client.lpop(queue))  # type: ignore[arg-type]

    epoch = connection.store.bug("by-script").epoch
    Doorbells(make_app(settings)).ring([Assignment("n1@h", "by-script", epoch)])
    by_celery = json.loads(connection.store.client.lpop(queue))  # type: ignore[arg-type]

    assert assigned.status == "ASSIGNED"
    assert by_script["headers"].keys() == by_celery["headers"].keys()
    assert by_script["properties"].keys() | {"body_encoding"} == by_celery["properties"].keys()
    body = json.loads(base64.b64decode(by_celery["body"]))
    assert json.loads(by_script["body"]) == [["by-script", str(epoch)], *body[1:]]
    for field in ("id", "task", "lang", "argsrepr", "root_id"):
        assert by_script["headers"][field] == by_celery["headers"][field]
