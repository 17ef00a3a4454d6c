"""A node that beats and takes nothing, or works and does not beat: its bugs go elsewhere, and it
serves again by itself."""

import dataclasses
import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from fixwurx_celery.broker import make_app, node_queue
from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.domain.nodes import WorkerState
from fixwurx_celery.store.invariants import violations
from tests.support.own_cluster import OwnCluster
from tests.support.processes import NodeProcess, having, nodes
from tests.support.proxy import Proxy
from tests.support.server import NoServer, start_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

TAKEN_BACK_WITHIN_S = 3 * 1.0 + 1.5
"""Three bells, `ring_after_sec` apart, and a sweep."""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnCluster]:
    try:
        server = start_server(tmp_path / "server")
    except NoServer as error:
        pytest.skip(str(error))
    with server:
        # The same server by another name: a broker that is not the store, as far as anyone knows.
        broker = server.url.replace("127.0.0.1", "localhost")
        made = OwnCluster(server, tmp_path, broker_url=broker, drain_timeout_sec=20.0)
        yield made
        made.close()


@pytest.fixture
def broker_of_a(own: OwnCluster) -> Iterator[Proxy]:
    with Proxy(own.server.port) as made:
        yield made


@pytest.fixture
def pair(own: OwnCluster, broker_of_a: Proxy) -> Iterator[list[NodeProcess]]:
    """a, which reaches its broker through the proxy, and b."""
    url = own.settings.redis_url.replace(str(own.server.port), str(broker_of_a.port))
    with ExitStack() as stack:
        started = []
        for name, broker_url in (("a", url), ("b", own.settings.broker_url)):
            settings = dataclasses.replace(
                own.settings, broker_url=broker_url, capabilities=frozenset({name})
            )
            started += stack.enter_context(nodes(settings, own.store, own.folder, f"{name}@here"))
        yield started


def give_it_bugs(own: OwnCluster) -> None:
    """What becomes of bugs that a deaf node is given: they run elsewhere, once."""
    after = own.store.last_event_id()
    ids = own.submit(*(own.bug(0.3) for _ in range(5)))
    given = {e.bug for e in own.events(after) if (e.action, e.node) == ("bug_assigned", "a@here")}
    assert given & set(ids), "none was given to the deaf node"
    own.ended(*ids, within_s=TAKEN_BACK_WITHIN_S + 2)
    for record in own.store.bugs(ids):
        assert (record.worker_id, record.runs) == ("b@here", 1)


def test_a_node_whose_consumer_was_cancelled_begins_anew(
    own: OwnCluster, pair: list[NodeProcess]
) -> None:
    lives = own.lives()
    (busy,) = own.submit(own.bug(*[0.5] * 50, requires=frozenset({"a"})))
    own.running(busy)
    with make_app(own.settings) as app:
        assert app.control.cancel_consumer(
            node_queue("a@here").name, destination=["a@here"], reply=True, timeout=5
        )

    give_it_bugs(own)

    wait_until("it drains", lambda: pair[0].state() is WorkerState.STOPPING, within_s=20)
    assert own.record(busy).state is BugState.RUNNING, "what runs gets its grace time"
    own.ended(busy)
    wait_until(
        "it serves again, as another life",
        lambda: own.lives().get("a@here") not in (None, lives["a@here"]),
        within_s=20,
    )
    assert pair[0].process.poll() is None, "as the same process"
    own.submit(own.bug(0.1, requires=frozenset({"a"})))
    own.ended()
    own.check()
    assert own.lives()["b@here"] == lives["b@here"]


def test_a_node_whose_broker_connections_are_dead_without_its_knowing_serves_again(
    own: OwnCluster, pair: list[NodeProcess], broker_of_a: Proxy
) -> None:
    lives = own.lives()
    (busy,) = own.submit(own.bug(*[0.5] * 20, requires=frozenset({"a"})))
    own.running(busy)
    broker_of_a.freeze()

    give_it_bugs(own)

    # Its worker finds out and connects again, or the node begins anew: whichever comes first.
    own.submit(own.bug(0.1, requires=frozenset({"a"})))
    own.ended(within_s=30)
    own.check()
    assert pair[0].process.poll() is None
    assert own.lives()["b@here"] == lives["b@here"]


@pytest.mark.parametrize("how", ["cut", "go_silent"])
def test_a_broker_that_is_away_makes_no_node_begin_anew(
    own: OwnCluster, pair: list[NodeProcess], broker_of_a: Proxy, how: str
) -> None:
    lives = own.lives()
    (busy,) = own.submit(own.bug(*[0.5] * 20, requires=frozenset({"a"})))
    own.running(busy)
    getattr(broker_of_a, how)()

    ids = own.submit(*(own.bug(0.3) for _ in range(5)))
    own.ended(*ids, within_s=20)  # what the one without a broker should ring is rung again
    waits = own.submit(own.bug(0.3, requires=frozenset({"a"})))
    own.wait_s(12)  # longer than it takes to find a deaf node, and to give up on it
    broker_of_a.pass_on()

    own.ended(*waits, within_s=10)
    own.ended()
    own.check()
    assert own.lives() == lives


def test_a_node_whose_main_process_is_frozen_is_failed_over_and_serves_again(
    own: OwnCluster, pair: list[NodeProcess]
) -> None:
    mark = f"mark-{uuid.uuid4().hex}"
    lives = own.lives()
    hangs = own.submit(*(own.bug(*[0.5] * 100, agents=2, step={"children": mark}) for _ in "ab"))
    ends = own.submit(*(own.bug(*[0.5] * 14, agents=2) for _ in "ab"))
    own.running(*hangs, *ends)
    on_a = {r.id for r in own.store.bugs(own.bugs) if r.worker_id == "a@here"}
    assert on_a
    main = pair[0].process.pid
    below = {process.pid for process in psutil.Process(main).children(recursive=True)}
    stale = below & set(having(mark))

    os.kill(main, signal.SIGSTOP)
    wait_until(
        "its bugs run elsewhere",
        lambda: all(
            r.worker_id == "b@here" and r.runs == 2 and r.state is BugState.RUNNING
            for r in own.store.bugs(sorted(on_a))
        ),
        within_s=own.settings.heartbeat_timeout_sec + 1,
    )
    wait_until(
        "its stale runs are gone",
        lambda: not stale & set(having(mark)),
        within_s=5,
    )
    os.kill(main, signal.SIGCONT)

    wait_until("it serves again", lambda: pair[0].state() is WorkerState.READY)
    assert own.lives()["a@here"] != lives["a@here"]
    own.ended(*own.submit(own.bug(0.1, requires=frozenset({"a"}))))
    for bug in hangs:
        own.manager.handle(bug).cancel()
    for record in own.ended():
        charged = (0, 1) if record.id in on_a else (0, 0)
        assert (record.attempts, record.losses) == charged
    assert violations(own.store, patience_s=3) == []
    wait_until("nothing is left", lambda: not having(mark))
