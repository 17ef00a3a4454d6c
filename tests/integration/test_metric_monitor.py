"""FixWurx's SystemMonitor over the cluster: it reads an engine's attributes, and sends them."""

import contextlib
import dataclasses
import math
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixwurx_celery import ClusterEngineView, ClusterResourceManager, Connection, MetricBus
from fixwurx_celery.metrics.prometheus import BusCollector, page_of
from fixwurx_celery.metrics.readings import FRESH_S
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.scaling_state import ScalingState
from tests.support.cluster import bug, fail, finish, node, running
from tests.support.live_cluster import LiveCluster
from tests.support.monitor import SystemMonitor
from tests.support.pages import by, value
from tests.support.server import start_server
from tests.support.waiting import wait_until


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    with Connection(settings) as made:
        yield made


def later() -> None:
    """What was looked at is old, and is looked at again."""
    time.sleep(FRESH_S + 0.05)


def test_a_monitor_ticks_over_the_cluster(connection: Connection, live_store: ClusterStore) -> None:
    first, _ = node(live_store, "n0", agents=9)
    running(live_store, first, bug("a"), bug("b"))
    node(live_store, "n1", agents=3)
    live_store.submit([bug(f"waits{i}", agents=9) for i in range(5)])
    bus = MetricBus(connection)
    monitor = SystemMonitor(ClusterEngineView(connection), bus)

    monitor.emit_tick()

    seen = page_of(BusCollector(bus))()
    assert value(seen, "triangulum_tick_count") == 2
    assert value(seen, "triangulum_scope_entropy") == 3  # seven bugs are open
    assert by(seen, "triangulum_agent_utilization", "agent_id") == {
        "n0": pytest.approx(6 / 9),
        "n1": 0,
    }


def test_the_view_is_made_of_a_connection_or_of_a_manager(connection: Connection) -> None:
    manager = ClusterResourceManager(connection=connection)

    assert ClusterEngineView(manager).agent_utilization == {}
    assert MetricBus(manager).read("fixwurx_agents") == 0


def test_entropy_is_none_when_no_bug_is_open_and_falls_by_a_bit_when_half_have_ended(
    connection: Connection, live_store: ClusterStore
) -> None:
    view = ClusterEngineView(connection)
    assert view.scope_entropy == 0
    life, _ = node(live_store, "n0", agents=9)
    runs = running(live_store, life, bug("a"), bug("b"), bug("c"))

    later()
    assert view.scope_entropy == 2
    for run in runs[:2]:
        finish(live_store, run)
    later()
    assert view.scope_entropy == 1
    finish(live_store, runs[2])
    later()
    assert view.scope_entropy == 0


def test_ticks_rise_while_bugs_are_worked_on_and_never_fall(
    connection: Connection, live_store: ClusterStore
) -> None:
    view = ClusterEngineView(connection)
    life, _ = node(live_store, "n0")
    (run,) = running(live_store, life, bug("a"))
    seen = [view.tick_count]
    for _ in range(2):
        live_store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner)
        later()
        seen.append(view.tick_count)
    live_store.client.delete(f"{live_store.prefix}tally")
    later()

    assert seen == [1, 2, 3]
    assert view.tick_count == 3


def test_troubles_are_told_by_component_with_when_and_what(
    connection: Connection, live_store: ClusterStore
) -> None:
    view = ClusterEngineView(connection)
    assert view.error_state == {}
    life, _ = node(live_store, "n0")
    ends, _ = node(live_store, "ends")
    live_store.retire(ends.node, ends.incarnation)
    fussy = ClusterStore.from_settings(dataclasses.replace(connection.settings, max_attempts=1))
    (run,) = running(live_store, life, bug("a"))
    fail(fussy, run)
    fussy.close()
    live_store.client.hdel(f"{live_store.prefix}heard", "n0")
    live_store.register("n0", "another life", "9|", {})
    state = ScalingState(live_store)
    term = live_store.claim_tick("scale", "me", 1000)
    assert term
    state.fail_provider(term, "quota exceeded")
    began_s = time.time()
    later()

    told = view.error_state

    assert told.keys() == {"bugs", "nodes", "provider"}
    (given_up,) = told["bugs"]
    assert given_up["message"] == "bug a was given up: its process died"
    assert given_up["severity"] == "error"
    assert abs(given_up["timestamp"] - began_s) < 60
    assert given_up["context"]["bug"] == "a"
    assert [one["context"]["node"] for one in told["nodes"]] == ["n0"]
    assert told["provider"][0]["message"] == "the provider of nodes failed: quota exceeded"
    later()
    assert view.error_state == told, "a look that finds nothing new forgets nothing"


def test_a_monitor_goes_on_while_the_store_is_away(tmp_path: Path) -> None:
    with start_server(tmp_path / "server") as server:
        settings = Settings(redis_url=server.url)
        store = ClusterStore.from_settings(settings)
        with contextlib.closing(store), Connection(settings) as connection:
            running(store, node(store, "n0")[0], bug("a"))
            view, bus = ClusterEngineView(connection), MetricBus(connection)
            monitor = SystemMonitor(view, bus)
            monitor.emit_tick()
            server.kill()
            later()

            monitor.emit_tick()

            assert (view.tick_count, view.scope_entropy) == (1, 1)
            assert view.agent_utilization == {"n0": pytest.approx(1 / 3)}
            (error,) = view.error_state["store"]
            assert (error["severity"], error["message"]) == (
                "critical",
                "the store does not answer",
            )
            assert bus.cluster() == {"fixwurx_up": 0}
            server.start()
            later()
            wait_until("it is well again", lambda: "store" not in view.error_state)


def test_a_cluster_that_comes_later_and_goes_is_seen_while_it_is_there(
    settings: Settings, live_store: ClusterStore
) -> None:
    node(live_store, "n0")
    with Connection(Settings(), is_to_come=True) as connection:
        view, bus = ClusterEngineView(connection), MetricBus(connection)
        assert (view.tick_count, view.agent_utilization) == (0, {})
        assert view.error_state["store"]
        assert bus.cluster() == {"fixwurx_up": 0}

        connection.lead_to(settings)
        later()
        assert view.agent_utilization == {"n0": 0}
        assert view.error_state == {}
        assert bus.read("fixwurx_agents") == 9

        connection.lead_nowhere()
        later()
        assert bus.cluster() == {"fixwurx_up": 0}


def test_the_clusters_own_metrics_are_read_through_the_bus(
    connection: Connection, live_store: ClusterStore
) -> None:
    life, _ = node(live_store, "n0")
    (run,) = running(live_store, life, bug("a"))
    finish(live_store, run)
    bus = MetricBus(connection)

    told = bus.cluster()

    assert told["fixwurx_up"] == 1
    assert told["fixwurx_agents"] == 9
    assert told["fixwurx_bugs"] == {"state=PENDING": 0, "state=ASSIGNED": 0, "state=RUNNING": 0}
    ended = told["fixwurx_bugs_ended_total"]
    assert isinstance(ended, dict)
    assert ended["outcome=FIXED,state=DONE"] == 1
    runs = told["fixwurx_bug_run_seconds"]
    assert isinstance(runs, dict)
    assert runs["count"] == 1
    assert bus.read("fixwurx_agents") == 9
    assert bus.read("fixwurx_bugs", {"state": "RUNNING"}) == 0
    assert bus.read("fixwurx_bugs_ended_total", {"state": "DONE", "outcome": "FIXED"}) == 1
    assert bus.read("fixwurx_bugs_ended_total", {"state": "GONE"}) is None
    assert bus.read("fixwurx_agents", {"no": "label"}) is None


@pytest.mark.slow
def test_a_monitor_follows_a_real_node_that_works_and_dies(redis_url: str, tmp_path: Path) -> None:
    cluster = LiveCluster(tmp_path, redis_url=redis_url)
    view = ClusterEngineView(cluster.connection)
    bus = MetricBus(cluster.connection)
    monitor = SystemMonitor(view, bus)
    with cluster.node("a@here") as a, cluster.node("b@here") as b:
        nodes = {node.name: node for node in (a, b)}
        long = cluster.long_bug()
        holder = long.record().worker_id or ""
        later()
        monitor.emit_tick()
        before = bus.read("triangulum.tick_count")
        assert before is not None
        assert before >= 1
        assert bus.read("triangulum.agent_utilization", {"agent_id": holder}) == 1
        assert bus.read("triangulum.scope_entropy") == 1

        def has_ticked() -> bool:
            monitor.emit_tick()
            return (bus.read("triangulum.tick_count") or 0) >= before + 3

        wait_until("it ticks while the bug runs", has_ticked, within_s=20)
        os.killpg(nodes[holder].process.pid, signal.SIGKILL)
        long.runs_again()
        later()
        monitor.emit_tick()
        assert bus.read("triangulum.errors", {"component": "nodes"}) == 1
        assert math.isclose(bus.read("triangulum.scope_entropy") or 0, 1)
        long.end()
    cluster.cancel_all()
    cluster.close()
