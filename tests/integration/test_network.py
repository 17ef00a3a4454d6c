"""The network between one node and the store loses an answer, or everything, for a while."""

import dataclasses
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixwurx_celery.broker import doorbell
from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.domain.nodes import WorkerState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.invariants import violations
from fixwurx_celery.store.scripts import load_all
from tests.support.own_cluster import OwnCluster
from tests.support.processes import NodeProcess, having, nodes
from tests.support.proxy import Proxy
from tests.support.server import NoServer, start_server
from tests.support.waiting import wait_until

FAR = frozenset({"far"})
HALF_SECONDS = [0.5] * 60


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnCluster]:
    folder = tmp_path_factory.mktemp("network")
    try:
        server = start_server(folder / "server")
    except NoServer as error:
        pytest.skip(str(error))
    with server:
        made = OwnCluster(server, folder)
        yield made
        made.close()


@pytest.fixture
def cluster(shared: OwnCluster, proxy: Proxy) -> OwnCluster:
    """With no node of another test, and the network whole."""
    proxy.pass_on()
    shared.bugs.clear()
    wait_until("other nodes are gone", lambda: set(shared.lives()) <= {"far@here"})
    return shared


@pytest.fixture(scope="module")
def proxy(shared: OwnCluster) -> Iterator[Proxy]:
    with Proxy(shared.server.port) as made:
        yield made


@pytest.fixture(scope="module")
def there(shared: OwnCluster, proxy: Proxy) -> Settings:
    """The settings of another host, that sees the store through the proxy."""
    return dataclasses.replace(
        shared.settings,
        redis_url=shared.settings.redis_url.replace(str(shared.server.port), str(proxy.port)),
        work_dir=str(shared.folder / "work-there"),
        capabilities=FAR,
    )


@pytest.fixture(scope="module")
def far(shared: OwnCluster, there: Settings) -> Iterator[NodeProcess]:
    with nodes(there, shared.store, shared.folder, "far@here") as (node,):
        yield node


def lose_answer(proxy: Proxy, script: str) -> int:
    """Loses the answer to the next call of that script; how many were lost before."""
    before = proxy.swallowed
    proxy.swallow(load_all()[script].sha.encode())
    return before


@pytest.mark.parametrize(
    "script",
    [
        "start",
        "finish",
        "heartbeat",
        pytest.param("report", marks=pytest.mark.slow),
        pytest.param("sweep", marks=pytest.mark.slow),
    ],
)
def test_a_lost_answer_to_a_node_changes_nothing(
    cluster: OwnCluster, far: NodeProcess, proxy: Proxy, script: str
) -> None:
    lives = cluster.lives()
    before = lose_answer(proxy, script)

    cluster.submit(cluster.bug(0.1, 1.2, requires=FAR))

    wait_until(f"the answer to {script} is lost", lambda: proxy.swallowed == before + 1)
    cluster.ended(within_s=10)
    cluster.submit(cluster.bug(0.1, requires=FAR))
    cluster.ended(within_s=10)
    cluster.check()
    assert cluster.lives() == lives


def test_a_lost_answer_to_register_makes_one_node_of_it(
    cluster: OwnCluster, there: Settings, proxy: Proxy
) -> None:
    before = lose_answer(proxy, "register")
    after = cluster.store.last_event_id()

    with nodes(there, cluster.store, cluster.folder, "new@here"):
        assert proxy.swallowed == before + 1
        registered = [e for e in cluster.events(after) if e.action == "node_registered"]
        assert [event.node for event in registered] == ["new@here"]
        assert violations(cluster.store, patience_s=3) == []


def test_a_lost_answer_to_submit_takes_each_bug_once(
    cluster: OwnCluster, far: NodeProcess, there: Settings, proxy: Proxy
) -> None:
    before = lose_answer(proxy, "submit")
    client = ClusterStore.from_settings(there, bell=doorbell(there), is_patient=False)

    answers, _ = client.submit([cluster.bug(0.1, requires=FAR) for _ in range(3)])
    client.close()

    assert proxy.swallowed == before + 1
    assert not any(answer.is_refused for answer in answers)
    cluster.ended(within_s=10)
    cluster.check()


@pytest.mark.slow
def test_a_node_that_is_cut_off_stops_in_time_and_joins_again(
    cluster: OwnCluster, far: NodeProcess, there: Settings, proxy: Proxy
) -> None:
    settings, mark = cluster.settings, f"mark-{uuid.uuid4().hex}"
    with nodes(settings, cluster.store, cluster.folder, "near@here"):
        cluster.store.drain("near@here", 60)
        ends_there, hangs = cluster.submit(
            cluster.bug(0.5, 2.5),  # a phase that begins waits for the store
            cluster.bug(*HALF_SECONDS, step={"children": mark}),
        )
        cluster.running(ends_there, hangs)
        cluster.store.resume("near@here")
        wait_until("its children run", lambda: having(mark))
        wait_until("a step is done", lambda: cluster.record(ends_there).phase == "S0")
        lives = cluster.lives()
        after = cluster.store.last_event_id()
        proxy.go_silent()
        silent_at = time.monotonic()
        old = set(having(mark))

        wait_until(
            "the run there is killed before anyone can have been given its bug",
            lambda: not old & set(having(mark)),
            within_s=settings.alone_sec + 0.7,
        )
        wait_until(
            "both run elsewhere",
            lambda: (
                {
                    event.bug
                    for event in cluster.events(after)
                    if (event.action, event.node) == ("bug_started", "near@here")
                }
                == {ends_there, hangs}
            ),
            within_s=settings.heartbeat_timeout_sec + 3 - (time.monotonic() - silent_at),
        )
        cluster.ended(ends_there)
        wait_until("what it would tell is kept", lambda: len(kept(there)) == 2)
        told = [json.loads(path.read_text())["state"] for path in kept(there)]
        assert sorted(told, key=str) == ["DONE", None], "one ended there, one was stopped"
        proxy.pass_on()

        wait_until("it serves again", lambda: far.state() is WorkerState.READY, within_s=10)
        assert cluster.lives()["far@here"] != lives["far@here"]
        assert cluster.lives()["near@here"] == lives["near@here"]
        cluster.ended(*cluster.submit(cluster.bug(0.1, requires=FAR)))
        wait_until("its late endings are told", lambda: not kept(there))
        ends = [event for event in cluster.events(after) if event.action == "bug_finished"]
        assert [event.node for event in ends if event.bug == ends_there] == ["near@here"]
        for bug, runs in ((ends_there, 2), (hangs, 2)):
            record = cluster.record(bug)
            assert (record.runs, record.losses, record.attempts) == (runs, 1, 0)
        assert cluster.record(ends_there).outcome["resumed_after"] > 0
        cluster.manager.handle(hangs).cancel()
        cluster.ended(hangs)
        assert cluster.record(hangs).state is BugState.CANCELLED
        assert violations(cluster.store, patience_s=3) == []
    wait_until("nothing is left", lambda: not having(mark))


def kept(there: Settings) -> list[Path]:
    """Endings in the spool of that host."""
    return list((Path(there.work_dir) / f"spool-{there.namespace}").glob("*.json"))


def test_a_node_whose_connections_are_cut_is_there_again_at_once(
    cluster: OwnCluster, far: NodeProcess, proxy: Proxy
) -> None:
    lives = cluster.lives()
    cluster.running(*cluster.submit(cluster.bug(0.5, 0.5, 0.5, requires=FAR)))

    for _ in range(3):
        proxy.cut()
        proxy.pass_on()
        cluster.wait_s(0.3)

    cluster.ended(within_s=10)
    cluster.check()
    assert cluster.lives() == lives
