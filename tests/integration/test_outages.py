"""The store is killed, frozen, full, or drops its connections, while real nodes work for it.

Where the broker is the same server, as here, it goes with the store. Whatever happens: no bug is
lost, none ends twice, none is charged, no node is taken for lost, and all work again at once.
"""

import statistics
import time
from collections.abc import Iterator

import pytest

from fixwurx_celery.errors import StoreUnavailable
from tests.support.own_cluster import OwnCluster
from tests.support.processes import nodes
from tests.support.server import NoServer, start_server
from tests.support.waiting import wait_until

WORK_AGAIN_WITHIN_S = 5.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnCluster]:
    """Two nodes, for all tests that leave them as they found them."""
    folder = tmp_path_factory.mktemp("outages")
    try:
        server = start_server(folder / "server", append_only=True)
    except NoServer as error:
        pytest.skip(str(error))
    with server:
        made = OwnCluster(server, folder, heartbeat_timeout_sec=8.0, lease_sec=10.0)
        with nodes(made.settings, made.store, folder, "a@here", "b@here"):
            yield made
        made.close()


@pytest.fixture
def cluster(shared: OwnCluster) -> Iterator[OwnCluster]:
    """Those, and the claim that they are the same lives of the same nodes afterwards."""
    shared.bugs.clear()
    lives = shared.lives()
    assert set(lives) == {"a@here", "b@here"}
    yield shared
    assert shared.lives() == lives, "a node was taken for lost"


def busy(cluster: OwnCluster, *, outlasting_s: float) -> list[str]:
    """Every agent at work, and more bugs waiting; the two that run longer than this."""
    half_seconds = [0.5] * int(2 * outlasting_s + 3)
    long = cluster.submit(*(cluster.bug(0.1, *half_seconds) for _ in range(2)))
    cluster.submit(*(cluster.bug(0.3 + 0.1 * (i % 5)) for i in range(24)))
    wait_until(
        "the long bugs are past their first step",
        lambda: {"S1", "S2"} >= {record.phase for record in cluster.store.bugs(long)},
    )
    assert cluster.store.snapshot().waiting > 8, "not enough for both to start some afterwards"
    return long


@pytest.mark.parametrize(
    ("away_s", "cut_off"),
    [
        pytest.param(0.3, False, id="0.3 s", marks=pytest.mark.slow),
        pytest.param(2, False, id="2 s"),
        pytest.param(12, True, id="12 s", marks=pytest.mark.slow),
    ],
)
def test_a_killed_and_restarted_store_costs_nothing_but_the_time(
    cluster: OwnCluster, away_s: float, cut_off: bool
) -> None:
    long = busy(cluster, outlasting_s=away_s)

    cluster.server.kill()
    killed_at = cluster.instant()
    cluster.wait_s(away_s)
    cluster.server.start()

    cluster.all_start_again(killed_at, within_s=WORK_AGAIN_WITHIN_S)
    cluster.ended(within_s=40)
    cluster.check(rerun=long if cut_off else [])
    if cut_off:  # longer than the lease: stopped before its end, and then resumed
        assert all(record.outcome["resumed_after"] > 0 for record in cluster.store.bugs(long))


@pytest.mark.parametrize(
    ("still_s", "cut_off"),
    [
        pytest.param(2, False, id="2 s"),
        pytest.param(8, True, id="8 s", marks=pytest.mark.slow),
        pytest.param(20, True, id="20 s", marks=pytest.mark.slow),
    ],
)
def test_a_frozen_store_costs_nothing_but_the_time(
    cluster: OwnCluster, still_s: float, cut_off: bool
) -> None:
    long = busy(cluster, outlasting_s=still_s)

    with cluster.frozen_server():
        frozen_at = cluster.instant()
        cluster.wait_s(still_s)

    cluster.all_start_again(frozen_at, within_s=WORK_AGAIN_WITHIN_S)
    cluster.ended(within_s=60)
    cluster.check(rerun=long if cut_off else [])


@pytest.mark.parametrize(
    "storm_s", [pytest.param(3, id="3 s"), pytest.param(10, id="10 s", marks=pytest.mark.slow)]
)
def test_a_storm_of_dropped_connections_runs_each_bug_once(
    cluster: OwnCluster, storm_s: float
) -> None:
    cluster.submit(*(cluster.bug(0.2 + 0.05 * (i % 7)) for i in range(50)))
    until = time.monotonic() + storm_s

    while time.monotonic() < until:
        for kind in ("normal", "pubsub"):
            cluster.store.client.execute_command("CLIENT", "KILL", "TYPE", kind)
        cluster.wait_s(0.5)

    cluster.ended(within_s=40)
    cluster.check()


@pytest.mark.slow
def test_a_full_store_refuses_submitters_and_loses_nothing(cluster: OwnCluster) -> None:
    full_s = cluster.settings.lease_sec + 3
    long = busy(cluster, outlasting_s=full_s)
    client = cluster.store.client
    used = int(client.info("memory")["used_memory"])

    client.config_set("maxmemory", str(used // 2))
    full_at = cluster.instant()
    try:
        with pytest.raises(StoreUnavailable, match=r"out of memory .* raise its maxmemory"):
            cluster.connection.submit([cluster.bug(0.1)])
        cluster.bugs.pop()
        cluster.wait_s(full_s)
    finally:
        client.config_set("maxmemory", "0")

    given_back = [e for e in cluster.events(full_at) if e.action == "bug_given_back"]
    assert len(given_back) <= 18, "nothing goes round in circles"
    cluster.all_start_again(full_at, within_s=WORK_AGAIN_WITHIN_S)
    cluster.ended(within_s=40)
    cluster.check(rerun=long)


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_twenty_restarts_in_a_row_each_cost_seconds_and_no_bug(
    cluster: OwnCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    away_s = [0.3, 0.6, 1.0, 2.0]
    times: list[float] = []
    for round_ in range(20):
        cluster.submit(*(cluster.bug(0.2 + 0.1 * (i % 7)) for i in range(100)))
        wait_until("all are busy", lambda: cluster.store.snapshot().free_agents == 0)
        cluster.server.kill()
        killed_at = cluster.instant()
        cluster.wait_s(away_s[round_ % len(away_s)])
        cluster.server.start()
        times.append(cluster.all_start_again(killed_at, within_s=30))

    cluster.ended(within_s=600)
    cluster.check()
    with capsys.disabled():
        print(
            f"\n{len(times)} restarts; all nodes start bugs within {min(times):.2f} s, "
            f"{statistics.median(times):.2f} s (median), {max(times):.2f} s at worst"
        )
    assert max(times) < WORK_AGAIN_WITHIN_S
