"""A bug ends while the store is away: its outcome is kept on the node's disk, and arrives."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixwurx_celery.artifacts import open_artifacts
from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.settings import Settings
from tests.support.own_cluster import OwnCluster
from tests.support.processes import NodeProcess, nodes, start_node
from tests.support.server import NoServer, start_server
from tests.support.waiting import wait_until

PATCH = "".join(f"+line {i}\n" for i in range(8000))
"""Too large for a record."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[OwnCluster]:
    try:
        server = start_server(tmp_path / "server", append_only=True)
    except NoServer as error:
        pytest.skip(str(error))
    with server:
        made = OwnCluster(server, tmp_path)
        yield made
        made.close()


@pytest.fixture
def node(cluster: OwnCluster) -> Iterator[NodeProcess]:
    with nodes(cluster.settings, cluster.store, cluster.folder, "a@here") as (started,):
        yield started


def spooled(settings: Settings) -> list[Path]:
    return list((Path(settings.work_dir) / f"spool-{settings.namespace}").glob("*.json"))


def end_while_the_store_is_away(cluster: OwnCluster) -> list[str]:
    """Two bugs, one of them with a large patch, whose outcomes the store does not know yet."""
    small = cluster.bug(0.1, 1.0)
    large = cluster.bug(0.1, 1.0, payload={"outcome": {"outcome": "FIXED", "patch": PATCH}})
    ids = cluster.submit(small, large)
    cluster.running(*ids)
    cluster.server.kill()
    wait_until("both outcomes are kept", lambda: len(spooled(cluster.settings)) == 2)
    return ids


def check_both_arrived(cluster: OwnCluster, ids: list[str]) -> None:
    cluster.ended(within_s=10)
    cluster.check()
    small, large = cluster.store.bugs(ids)
    assert (small.runs, large.runs, large.worker_id) == (1, 1, "a@here")
    assert large.outcome["patch"] is None
    artifacts = open_artifacts(cluster.settings, is_patient=False)
    assert artifacts.get(large.outcome["patch_artifact"]) == PATCH.encode()
    wait_until("nothing is kept any more", lambda: not spooled(cluster.settings))


def test_an_outcome_reached_while_the_store_is_away_arrives_afterwards(
    cluster: OwnCluster, node: NodeProcess
) -> None:
    lives = cluster.lives()
    ids = end_while_the_store_is_away(cluster)

    cluster.server.start()

    check_both_arrived(cluster, ids)
    assert cluster.lives() == lives


@pytest.mark.slow
def test_it_arrives_when_the_node_was_killed_and_is_started_again_before_the_store(
    cluster: OwnCluster, node: NodeProcess
) -> None:
    ids = end_while_the_store_is_away(cluster)
    node.kill()
    again = start_node(cluster.settings, cluster.store, node.name, cluster.folder, wait=False)
    try:
        wait_until(
            "it looks for its broker",
            lambda: "Trying again" in again.log.read_text(),
            within_s=20,
        )

        cluster.server.start()

        check_both_arrived(cluster, ids)
        wait_until("it serves", lambda: again.state() is not None and cluster.lives())
        cluster.submit(cluster.bug(0.1))
        cluster.ended()
    finally:
        again.process.kill()
        again.process.wait(timeout=10)


@pytest.mark.slow
def test_it_arrives_when_another_node_starts_on_the_host_instead(
    cluster: OwnCluster, node: NodeProcess
) -> None:
    ids = end_while_the_store_is_away(cluster)
    node.kill()
    other = dataclasses.replace(cluster.settings, capabilities=frozenset({"other"}))
    started = start_node(other, cluster.store, "other@here", cluster.folder, wait=False)
    try:
        cluster.server.start()

        check_both_arrived(cluster, ids)
        wait_until("the killed node is gone", lambda: set(cluster.lives()) == {"other@here"})
        assert {r.state for r in cluster.store.bugs(ids)} == {BugState.DONE}
    finally:
        started.process.kill()
        started.process.wait(timeout=10)
