"""Keys disappear from the server while real nodes work: the broker's, an index, a node's record.

The records are the truth: within two health checks all else follows from them again.
"""

import os
import signal
from collections.abc import Iterator

import pytest

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.store.invariants import violations
from tests.support.own_cluster import OwnCluster
from tests.support.processes import NodeProcess, nodes
from tests.support.server import NoServer, start_server
from tests.support.waiting import wait_until

HEALTH_CHECK_S = 0.5
BUSY, WITH_ROOM = 8, 4
"""Bugs of three agents: more than two nodes of nine take, or fewer."""

INDEXES = {
    "nodes": BUSY,
    "profiles": BUSY,
    "lines": BUSY,
    "line:*": BUSY,
    "leases": BUSY,
    "held:*": BUSY,
    "heard": BUSY,
    "finished": BUSY,
    "server": BUSY,
    "stats": BUSY,
    "tally": BUSY,
    "shelf:*": WITH_ROOM,
    "levels:*": WITH_ROOM,
}
"""What is deleted, and how many bugs there are then. `outbox`, `delayed` and `draining` have tests
of their own; `config`, `ejected`, `starving`, `unheard`, `gone` and `queues` hold nothing here, and
`events` is the log."""


@pytest.fixture(scope="module")
def cluster_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnCluster]:
    folder = tmp_path_factory.mktemp("lost-keys")
    try:
        server = start_server(folder / "server")
    except NoServer as error:
        pytest.skip(str(error))
    with server:
        made = OwnCluster(
            server, folder, health_check_interval_sec=HEALTH_CHECK_S, backoff_sec=20.0
        )
        yield made
        made.close()


@pytest.fixture(scope="module")
def pair(cluster_of_module: OwnCluster) -> Iterator[list[NodeProcess]]:
    """Two nodes that look after their store twice a second."""
    made = cluster_of_module
    with nodes(made.settings, made.store, made.folder, "a@here", "b@here") as started:
        yield started


@pytest.fixture
def cluster(cluster_of_module: OwnCluster, pair: list[NodeProcess]) -> OwnCluster:
    cluster_of_module.bugs.clear()
    return cluster_of_module


COUNTERS = {"stats", "tally"}
"""The next change begins them anew."""


def delete(cluster: OwnCluster, *patterns: str) -> int:
    """Deletes the keys of the namespace that match; how many there were."""
    client, prefix = cluster.store.client, cluster.store.prefix
    keys = [key for p in patterns for key in client.scan_iter(match=f"{prefix}{p}", count=1000)]
    return int(client.delete(*keys)) if keys else 0  # type: ignore[arg-type]


def there(cluster: OwnCluster, patterns: list[str]) -> bool:
    client, prefix = cluster.store.client, cluster.store.prefix
    return all(any(True for _ in client.scan_iter(match=f"{prefix}{p}")) for p in patterns)


def work(cluster: OwnCluster, count: int) -> None:
    """So many bugs; nine seconds of work for each node when they are many."""
    cluster.submit(cluster.bug(0.05))
    cluster.ended()  # so that there is a finished one
    ids = cluster.submit(*(cluster.bug(2.5) for _ in range(count)))
    cluster.running(*ids[: min(count, 6)])


def healed(cluster: OwnCluster, *patterns: str) -> None:
    """Returns when all is in its place again; fails when that takes more than two checks."""
    wait_until(
        f"{', '.join(patterns)}: everything is where it belongs",
        lambda: there(cluster, list(patterns)) and violations(cluster.store) == [],
        within_s=2 * HEALTH_CHECK_S + 0.5,
    )


def test_bugs_end_once_while_the_broker_forgets_everything(cluster: OwnCluster) -> None:
    lives = cluster.lives()
    cluster.submit(*(cluster.bug(0.2 + 0.1 * (i % 5)) for i in range(18)))
    deleted = 0

    def all_ended() -> bool:
        nonlocal deleted
        deleted += delete(cluster, "celery:*")
        seen = cluster.store.snapshot()
        return seen.free_agents == 18 and not seen.waiting

    wait_until("all bugs end", all_ended, within_s=40)
    assert deleted > 0
    cluster.check()
    assert cluster.lives() == lives


def test_all_indexes_at_once_are_there_again_and_every_bug_ends_once(cluster: OwnCluster) -> None:
    lives = cluster.lives()
    work(cluster, BUSY)
    present = [index for index, count in INDEXES.items() if count == BUSY]
    assert there(cluster, present)
    present = [index for index in present if index not in COUNTERS]

    assert delete(cluster, *INDEXES, "outbox") >= len(present)

    healed(cluster, *present)
    cluster.ended()
    cluster.check()
    assert cluster.lives() == lives


@pytest.mark.slow
@pytest.mark.parametrize(("index", "count"), INDEXES.items())
def test_an_index_is_there_again_and_every_bug_ends_once(
    cluster: OwnCluster, index: str, count: int
) -> None:
    lives = cluster.lives()
    work(cluster, count)

    assert delete(cluster, index) > 0

    healed(cluster, *({index} - COUNTERS))
    cluster.ended()
    cluster.check()
    assert cluster.lives() == lives


def test_a_node_whose_record_is_deleted_joins_again(cluster: OwnCluster) -> None:
    lives = cluster.lives()
    work(cluster, BUSY)
    held = [r.id for r in cluster.store.bugs(cluster.bugs) if r.worker_id == "a@here"]

    delete(cluster, "node:a@here")

    wait_until("it is there again", lambda: cluster.lives().keys() == lives.keys())
    healed(cluster, "node:a@here")
    cluster.ended()
    cluster.check(rerun=held)
    after = cluster.lives()
    assert (after["a@here"] == lives["a@here"], after["b@here"] == lives["b@here"]) == (False, True)


def test_bugs_whose_bells_and_outbox_are_lost_start_all_the_same(
    cluster: OwnCluster, pair: list[NodeProcess]
) -> None:
    lives = cluster.lives()
    frozen = pair[0].process.pid
    os.kill(frozen, signal.SIGSTOP)
    try:
        ids = cluster.submit(*(cluster.bug(0.2) for _ in range(6)))
        waiting = [r.id for r in cluster.store.bugs(ids) if r.worker_id == pair[0].name]
        assert waiting
        assert delete(cluster, "outbox", f"celery:fixwurx.node.{pair[0].name}") == 2
    finally:
        os.kill(frozen, signal.SIGCONT)

    cluster.ended(within_s=10)
    cluster.check()
    assert cluster.lives() == lives


@pytest.mark.slow
def test_a_bug_that_backs_off_waits_in_line_instead(cluster: OwnCluster) -> None:
    (bug,) = cluster.submit(cluster.bug(0.05, step={"crash": True}))
    wait_until("it backs off", lambda: cluster.store.snapshot().delayed == 1)

    assert delete(cluster, "delayed") == 1

    (record,) = cluster.ended(within_s=2 * HEALTH_CHECK_S + 2)
    assert (record.state, record.attempts) == (BugState.ESCALATED, 3)
    assert cluster.steps(bug) == [0, 0, 0]


@pytest.mark.slow
def test_a_drain_still_ends_when_its_grace_is_over(cluster: OwnCluster) -> None:
    ids = cluster.submit(*(cluster.bug(*[0.5] * 8) for _ in range(4)))
    cluster.running(*ids)
    moving = [r.id for r in cluster.store.bugs(ids) if r.worker_id == "a@here"]
    cluster.store.drain("a@here", 2.0)

    assert delete(cluster, "draining") == 1

    wait_until(
        "its bugs move",
        lambda: all(r.worker_id != "a@here" for r in cluster.store.bugs(ids)),
        within_s=4,
    )
    cluster.connection.ring(cluster.store.resume("a@here"))
    for record in cluster.ended():
        assert (record.state, record.attempts, record.losses) == (BugState.DONE, 0, 0)
        assert (record.runs, record.outcome["resumed_after"] > 0) == (
            (2, True) if record.id in moving else (1, False)
        )
