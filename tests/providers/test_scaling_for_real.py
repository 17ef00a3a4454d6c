"""Scaling with real nodes of every provider."""

from collections.abc import Iterator

import pytest

from fixwurx_celery.cluster.scaler import Scaler
from fixwurx_celery.domain.bugs import BugState
from tests.providers.conftest import MakeCluster
from tests.support.provided_cluster import ProvidedCluster
from tests.support.provider_beds import Bed
from tests.support.waiting import wait_until

BUGS = 6


@pytest.fixture
def cluster(bed: Bed, make_cluster: MakeCluster) -> ProvidedCluster:
    return make_cluster(
        bed,
        given={
            "total_agents": 3,
            "min_workers": 0,
            "max_workers": 2,
            "scaling_interval_sec": 1.0,
            "scale_down_window_sec": 1.0,
        },
    )


@pytest.fixture
def scaler(cluster: ProvidedCluster) -> Iterator[Scaler]:
    made = Scaler(cluster.connection, provider_of=lambda *_: cluster.another())
    yield made
    made.close()


def test_nodes_come_with_the_work_and_go_with_it(cluster: ProvidedCluster, scaler: Scaler) -> None:
    bugs = [cluster.submit({"phase": "REPRO", "sleep_s": 1.0}, agents=3) for _ in range(BUGS)]
    most = 0

    def all_done() -> bool:
        nonlocal most
        scaler.tick()
        most = max(most, len(cluster.provider.list()))
        return all(record.state is BugState.DONE for record in cluster.store.bugs(bugs))

    wait_until("all bugs are done", all_done, within_s=90)

    def all_gone() -> bool:
        scaler.tick()
        return not cluster.provider.list()

    wait_until("all nodes are gone", all_gone, within_s=90)
    assert most == 2
    records = cluster.store.bugs(bugs)
    assert [(record.runs, record.losses, record.attempts) for record in records] == [
        (1, 0, 0)
    ] * BUGS
