"""FixWurx's services over a real store. Nodes are registered, no process runs."""

import base64
import dataclasses
import json
import threading
import time
from collections.abc import Iterator

import pytest

from fixwurx_celery.broker import Doorbells, make_app
from fixwurx_celery.cluster import (
    BugHandle,
    ClusterResourceManager,
    Connection,
    LoadBalancer,
    ScalingCoordinator,
)
from fixwurx_celery.cluster.handle import as_completed
from fixwurx_celery.domain.bugs import Assignment, Bug, BugState
from fixwurx_celery.domain.nodes import BalancingStrategy, WorkerState
from fixwurx_celery.errors import (
    BugUnknown,
    ConfigurationError,
    FixwurxError,
    LineFull,
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
    with pytest.raises(ValueError, match="'FASTEST' is not a valid"):
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

    assert coordinator.get_cluster_capacity() == {
        "total_agents": 18, "free_agents": 15, "worker_count": 2,
    }  # fmt: skip
    assert coordinator.get_scaling_metrics()["utilization"] == pytest.approx(3 / 18)
    assert set(coordinator.workers) == {"n1@h", "n2@h"}
    with pytest.raises(TypeError):
        coordinator.workers["n3@h"] = coordinator.workers["n1@h"]  # type: ignore[index]
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
