"""What a caller sees when the server is away, full, or new; and what it finds when it is back."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixwurx_celery.artifacts import open_artifacts
from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.errors import StoreRefuses, StoreUnavailable
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore, connect
from fixwurx_celery.store.invariants import violations
from tests.support.cluster import bug, finish, node, running
from tests.support.server import NoServer, Server, server_binary, start_server


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """A server of this test's own, that keeps what it acknowledged."""
    try:
        server_binary()
    except NoServer as error:
        pytest.skip(str(error))
    with start_server(tmp_path / "own", append_only=True) as server:
        yield server


@pytest.fixture
def own_store(own: Server) -> Iterator[ClusterStore]:
    client = connect(own.url)
    client.get_retry().update_supported_errors([])
    store = ClusterStore(client, Settings(redis_url=own.url), rng=random.Random(1))
    yield store
    store.close()


def test_a_server_that_is_away_is_named_without_its_password_and_found_again(
    own: Server, own_store: ClusterStore
) -> None:
    life, _ = node(own_store, "n0", agents=3)
    (run,) = running(own_store, life, bug("a"))
    own_store.submit([bug("b")])
    own.kill()

    with pytest.raises(StoreUnavailable, match="cannot reach the store") as refused:
        own_store.snapshot()
    assert own.password not in str(refused.value)
    own.start()

    (following,) = finish(own_store, run)
    assert following.bug_id == "b"
    assert own_store.bug("a").state is BugState.DONE
    assert violations(own_store) == []


def test_a_server_that_forgot_the_scripts_is_given_them_again(own_store: ClusterStore) -> None:
    node(own_store, "n0")
    own_store.client.script_flush()

    results, _ = own_store.submit([bug("a")])

    assert results[0].status == "ASSIGNED"


def test_a_full_server_refuses_with_the_way_out_and_nothing_is_half_done(
    own_store: ClusterStore,
) -> None:
    own_store.submit([bug("a")])
    own_store.client.config_set("maxmemory", "1")

    with pytest.raises(StoreRefuses, match="out of memory"):
        own_store.submit([bug("b"), bug("c")])

    own_store.client.config_set("maxmemory", "0")
    assert own_store.bug_ids() == ["a"]
    assert violations(own_store) == []


def test_an_artifact_is_had_as_soon_as_the_server_is_back(own: Server) -> None:
    artifacts = open_artifacts(Settings(redis_url=own.url))
    ref = artifacts.put(b"source")
    own.kill()
    got: list[bytes] = []
    asking = threading.Thread(target=lambda: got.append(artifacts.get(ref)))
    asking.start()

    own.start()
    asking.join(timeout=20)

    assert got == [b"source"]


def test_a_server_whose_replicas_are_away_refuses_with_the_way_out_and_nothing_is_half_done(
    own_store: ClusterStore,
) -> None:
    own_store.submit([bug("a")])
    own_store.client.config_set("min-replicas-to-write", "1")

    with pytest.raises(StoreRefuses, match="too few replicas"):
        own_store.submit([bug("b")])

    own_store.client.config_set("min-replicas-to-write", "0")
    assert own_store.bug_ids() == ["a"]
    assert violations(own_store) == []
