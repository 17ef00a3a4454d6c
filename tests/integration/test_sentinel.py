"""The store behind Sentinel: real servers, real sentinels, real nodes, and a primary that dies."""

import base64
import json
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fixwurx_celery.artifacts import open_artifacts
from fixwurx_celery.broker import Doorbells, make_app
from fixwurx_celery.cli.connection import reach, reach_broker
from fixwurx_celery.cluster import Connection
from fixwurx_celery.cluster.ends import ENDS
from fixwurx_celery.cluster.handle import as_completed
from fixwurx_celery.domain.bugs import Assignment, Bug, BugState
from fixwurx_celery.domain.nodes import BalancingStrategy
from fixwurx_celery.errors import BugUnknown, StoreUnavailable
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore, connect
from fixwurx_celery.store.invariants import violations
from tests.support import cluster as build
from tests.support.processes import NodeProcess, nodes
from tests.support.sentinel import MASTER, Guarded, client, guarded
from tests.support.server import NoServer, free_port, server_binary
from tests.support.waiting import wait_until

QUICK = {
    "engine": "tests.support.engines:Scripted",
    "strategy": BalancingStrategy.ROUND_ROBIN,
    "heartbeat_interval_sec": 0.3,
    "heartbeat_timeout_sec": 8.0,
    "lease_sec": 6.0,
    "ring_after_sec": 1.0,
    "backoff_sec": 0.2,
}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A store behind Sentinel in which no test kills anything."""
    needs_server()
    with guarded(tmp_path_factory.mktemp("calm")) as made:
        yield made


@pytest.fixture
def store_of_own(tmp_path: Path) -> Iterator[Guarded]:
    """A store behind Sentinel for one test, slow enough for both servers to stay alive."""
    needs_server()
    with guarded(tmp_path, down_after_ms=3000) as made:
        yield made


def needs_server() -> None:
    try:
        server_binary()
    except NoServer as error:
        pytest.skip(str(error))


def settings_of(store: Guarded, **given: object) -> Settings:
    return Settings(redis_url=store.url, namespace=f"t{uuid.uuid4().hex[:12]}", **given)  # type: ignore[arg-type]


@pytest.fixture
def connection(calm: Guarded) -> Iterator[Connection]:
    with Connection(settings_of(calm)) as made:
        yield made


# -- finding the primary -------------------------------------------------------------------


def test_store_broker_and_artifacts_are_found(connection: Connection, calm: Guarded) -> None:
    artifacts = open_artifacts(connection.settings)

    reach(connection)
    reach_broker(connection.settings)
    ref = artifacts.put(b"source")

    assert artifacts.get(ref) == b"source"
    assert connection.store.ping()["role"] == "master"
    assert connection.store.primary == ("127.0.0.1", calm.primary().port)


def test_the_doorbell_of_a_script_is_what_celery_writes(connection: Connection) -> None:
    store, settings = connection.store, connection.settings
    build.node(store, "n1@h")
    queue = f"{{{settings.namespace}}}:celery:fixwurx.node.n1@h"
    connection.submit([Bug(id="b")])
    epoch = store.bug("b").epoch
    by_script = json.loads(store.client.lpop(queue))  # type: ignore[arg-type]

    bells = Doorbells(make_app(settings))
    assert bells.ring([Assignment("n1@h", "b", epoch)])
    by_celery = json.loads(store.client.lpop(queue))  # type: ignore[arg-type]
    bells.close()

    assert by_script["headers"].keys() == by_celery["headers"].keys()
    assert by_script["properties"].keys() | {"body_encoding"} == by_celery["properties"].keys()
    body = json.loads(base64.b64decode(by_celery["body"]))
    assert json.loads(by_script["body"]) == [["b", str(epoch)], *body[1:]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda url, _: url.replace(MASTER, "stor"), f"they watch over {MASTER}"),
        (lambda url, store: url.replace(store.password, "wrong"), "refuses our password"),
        (
            lambda url, store: url.replace(store.servers[0].password, "wrong"),
            "invalid username-password pair",
        ),
        (
            lambda _, store: (
                f"redis+sentinel://127.0.0.1:{store.servers[0].port}/{MASTER}"
                f"?sentinel_password={store.servers[0].password}"
            ),
            "is a server and no sentinel; name its sentinels, or write redis://127.0.0.1:",
        ),
        (
            lambda _, store: f"redis://:{store.password}@127.0.0.1:{store.ports[0]}/0",
            "a sentinel answers there; write redis+sentinel://",
        ),
        (lambda *_: f"redis+sentinel://127.0.0.1:1,127.0.0.1:2/{MASTER}", "no sentinel sees"),
    ],
    ids=["master", "sentinels' password", "store's password", "server", "sentinel", "nobody"],
)
def test_a_wrong_url_is_one_clear_error(
    calm: Guarded, change: Callable[[str, Guarded], str], said: str
) -> None:
    url = change(calm.url, calm)

    began = time.monotonic()
    with Connection(Settings(redis_url=url)) as there, pytest.raises(StoreUnavailable) as refused:
        reach(there)

    assert said in str(refused.value)
    assert time.monotonic() - began < 5
    for secret in (calm.password, calm.servers[0].password):
        assert secret not in str(refused.value)


def test_sentinels_that_are_away_are_passed_over(calm: Guarded) -> None:
    dead = calm.url.replace("@", f"@127.0.0.1:{free_port()},", 1)

    with Connection(Settings(redis_url=dead, namespace="t0")) as there:
        reach(there)
        began = time.monotonic()
        there.store.snapshot()

    assert time.monotonic() - began < 1


# -- a primary that moves --------------------------------------------------------------------


def test_a_demoted_primary_changes_nothing_and_its_client_goes_on_at_the_new_one(
    store_of_own: Guarded,
) -> None:
    with Connection(settings_of(store_of_own)) as here:
        store = here.store
        build.node(store, "n0")
        here.submit([Bug(id="a")])
        old, new = store_of_own.primary(), store_of_own.replica()
        with client(new) as promoted, client(old) as demoted:
            wait_until("it is replicated", lambda: promoted.exists(f"{store.prefix}bug:a"))
            promoted.replicaof("NO", "ONE")
            demoted.replicaof("127.0.0.1", str(new.port))

        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="cannot reach the store"):
            here.submit([Bug(id="b")])  # sentinels have not seen it yet
        assert time.monotonic() - began < 20

        with client(new) as promoted, client(old) as demoted:
            assert not promoted.exists(f"{store.prefix}bug:b")
            demoted.replicaof("NO", "ONE")
            promoted.replicaof("127.0.0.1", str(old.port))
        assert here.submit([Bug(id="b")])[0].status == "ASSIGNED"
        assert violations(store) == []


def test_a_store_without_its_replicas_refuses_with_the_way_out_and_ends_no_node(
    store_of_own: Guarded, tmp_path: Path
) -> None:
    settings = settings_of(store_of_own, **QUICK, work_dir=str(tmp_path / "work"))
    with (
        Connection(settings) as here,
        client(store_of_own.primary()) as primary,
        nodes(settings, here.store, tmp_path, "n1@here") as (node,),
    ):
        primary.config_set("min-replicas-to-write", "2")
        with pytest.raises(StoreUnavailable, match="too few replicas"):
            here.submit([Bug(id="a", payload={"steps": [{}]})])
        wait_until(
            "the node's consumer was refused too",
            lambda: "NOREPLICAS" in node.log.read_text(),
            within_s=20,
        )
        primary.config_set("min-replicas-to-write", "0")
        wait_until("the bug is taken", lambda: submitted(here, "a"), within_s=20)

        wait_until("it runs", lambda: here.store.bug("a").state is BugState.DONE, within_s=20)
        assert node.process.poll() is None
        stats = make_app(settings).control.inspect(destination=[node.name], timeout=5).stats()
        assert stats[node.name]["broker"]["transport"] == "sentinel"
        for secret in (store_of_own.password, store_of_own.servers[0].password):
            assert secret not in json.dumps(stats)
            assert secret not in node.log.read_text()


def test_a_planned_failover_is_followed_while_the_old_primary_answers(
    store_of_own: Guarded, tmp_path: Path
) -> None:
    settings = settings_of(store_of_own, **QUICK, work_dir=str(tmp_path / "work"))
    with Connection(settings) as here, nodes(settings, here.store, tmp_path, "n1@here"):
        old, new = store_of_own.primary(), store_of_own.replica()
        with client(old) as before, client(new) as after:
            store_of_own.fail_over()
            wait_until(
                "the client writes to the new one",
                lambda: submitted(here, f"b-{time.time()}") and here.store.primary[1] == new.port,  # type: ignore[index]
            )
            wait_until("the bug is taken", lambda: submitted(here, "a"))

            wait_until(
                "the node hears the doorbell there, and is heard",
                lambda: (
                    here.store.bug("a").state is BugState.DONE
                    and after.pubsub_channels(f"{here.store.prefix}life:*")
                ),
                within_s=8,
            )
            # Sentinels tell it ten seconds later that it is a replica, and only then close its
            # connections.
            assert before.info("replication")["role"] == "master"


def test_a_frozen_primary_is_left_within_the_tries_of_one_call(tmp_path: Path) -> None:
    needs_server()
    with guarded(tmp_path) as store:
        settings = settings_of(store)
        here = ClusterStore(connect(store.url, socket_timeout=1), settings)
        build.node(here, "n0")
        primary = store.primary()
        assert primary.process is not None
        primary.process.send_signal(signal.SIGSTOP)
        try:
            results, _ = here.submit([Bug(id="a")])
        finally:
            primary.process.send_signal(signal.SIGCONT)
            here.close()

    assert results[0].status in ("ASSIGNED", "PENDING")
    assert here.primary != ("127.0.0.1", primary.port)


# -- a primary that dies ---------------------------------------------------------------------


@dataclass(slots=True)
class Submitter:
    """Submits bugs one after another, and again what got no answer. `acknowledged` are those that
    the store has said to have taken, with the time of the first time that it did."""

    connection: Connection
    acknowledged: dict[str, float] = field(default_factory=dict)

    def submit(self, bug_id: str, sleep_s: float = 0.05) -> None:
        """Returns when the store has said that it took the bug."""
        wait_until(
            f"{bug_id} is taken",
            lambda: submitted(self.connection, bug_id, sleep_s),
            within_s=40,
        )
        self.acknowledged.setdefault(bug_id, time.time())

    def submit_many(self, count: int) -> None:
        """A bug every 50 ms, or as soon as the store is back."""
        pace = threading.Event()
        for number in range(count):
            self.submit(f"late-{number}")
            pace.wait(0.05)

    def until_all_have_ended(self) -> set[str]:
        """Waits for all of them; those that the store had lost, which were submitted again."""
        lost: set[str] = set()
        open_ids = set(self.acknowledged)
        while open_ids:
            try:
                for record in as_completed(self.connection, sorted(open_ids), timeout=40):
                    assert record.state is BugState.DONE
                    open_ids.discard(record.id)
                assert not open_ids, "these have not ended"
            except BugUnknown as error:
                lost.add(error.bug_id)
                self.submit(error.bug_id)
        return lost


def submitted(connection: Connection, bug_id: str, sleep_s: float = 0.05) -> bool:
    """Whether the store has taken the bug."""
    try:
        (answer,) = connection.submit([Bug(id=bug_id, payload={"steps": [{"sleep_s": sleep_s}]})])
    except StoreUnavailable:
        return False
    return answer.status in ("ASSIGNED", "PENDING", "KNOWN")


def test_what_was_replicated_survives_the_primary_and_what_was_not_is_submitted_again(
    tmp_path: Path,
) -> None:
    """Given a replica that was cut off for a moment, in which bugs were taken and others ended, and
    a primary that was killed then; nothing but this moment is lost, and it can be had again."""
    needs_server()
    with guarded(tmp_path / "store") as store:
        settings = settings_of(store, **QUICK, work_dir=str(tmp_path / "work"))
        with (
            Connection(settings) as here,
            nodes(settings, here.store, tmp_path, "n1@here", "n2@here") as both,
        ):
            submitter = Submitter(here)
            for number in range(20):
                submitter.submit(f"early-{number}")
            running = [f"running-{number}" for number in range(4)]
            for bug_id in running:
                submitter.submit(bug_id, sleep_s=1)
            replicated = set(submitter.acknowledged)

            killed_at = kill_under_load(store, submitter, running)
            lost = submitter.until_all_have_ended()

            assert not lost & replicated
            assert {"cut-0", "cut-1", "cut-2"} <= lost
            after = {bug for bug, at in submitter.acknowledged.items() if at > killed_at + 0.3}
            assert after
            assert not lost & after  # by then there is only the new primary, which loses nothing
            wait_for_work_on(here, both, killed_at)
            assert {here.store.bug(bug).runs for bug in running} == {2}
            ends = Counter(
                event.bug for event in here.store.last_events(10_000) if event.action in ENDS
            )
            assert ends == dict.fromkeys(submitter.acknowledged, 1)
            assert len(ends) == 67
            assert violations(here.store, patience_s=2) == []


def kill_under_load(store: Guarded, submitter: Submitter, running: list[str]) -> float:
    """Cuts the replica off, lets bugs be taken and `running` end, and kills the primary, while more
    are submitted all the time. When it was killed."""
    primary, replica = store.primary(), store.replica()
    cluster = submitter.connection.store
    bugs = [f"{cluster.prefix}bug:{bug}" for bug in submitter.acknowledged]
    with client(replica) as there:
        wait_until("all run", lambda: all(cluster.bug(bug).started_ms for bug in running))
        wait_until("they are replicated", lambda: there.exists(*bugs) == len(bugs))
        wait_until(
            "their starts are replicated",
            lambda: all(there.hget(f"{cluster.prefix}bug:{bug}", "runs") for bug in running),
        )
        there.replicaof("127.0.0.1", str(free_port()))
    for number in range(3):
        submitter.submit(f"cut-{number}")
    late = threading.Thread(target=submitter.submit_many, args=(40,))
    late.start()
    wait_until(
        "those that ran have ended",
        lambda: all(cluster.bug(bug).state is BugState.DONE for bug in running),
    )
    primary.kill()
    killed_at = time.time()
    late.join(timeout=60)
    assert not late.is_alive()
    return killed_at


def wait_for_work_on(connection: Connection, both: list[NodeProcess], killed_at: float) -> None:
    """Returns when each node has started a bug since then."""

    def starters() -> set[str]:
        return {
            event.node
            for event in connection.store.last_events(10_000)
            if event.action == "bug_started" and int(event.id.partition("-")[0]) > killed_at * 1000
        }

    expected = {node.worker_id for node in both}
    wait_until("all nodes have started bugs again", lambda: starters() == expected, within_s=20)
