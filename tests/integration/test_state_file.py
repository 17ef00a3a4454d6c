"""FIXWURX_STATE_PATH: scaling goes on with an empty store as if nothing had happened."""

import json
from pathlib import Path

import pytest

from fixwurx_celery.cluster.state_file import StateFile
from fixwurx_celery.domain.nodes import BalancingStrategy
from fixwurx_celery.errors import ConfigurationError
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.scaling_state import SCALE, ScalingState
from tests.support.clock import Clock
from tests.support.cluster import node
from tests.support.state import remove_namespace


def known(store: ClusterStore, clock: Clock) -> ScalingState:
    state = ScalingState(store)
    state.observe(60, "the-cluster")
    term = store.claim_tick(SCALE, "me", 1000) or 0
    state.plan_launch(term, "n1", name="n1", profile="9|", scope="here", most=5)
    clock.advance(s=3)
    node(store, "n1")
    store.set_strategy(BalancingStrategy.RANDOM)
    state.record_decision(
        term, action="hold", reason="", needed={"9|": 2}, told={}, window_s=60
    )  # fmt: skip
    return state


def test_an_empty_store_is_given_what_the_file_kept(
    store: ClusterStore, clock: Clock, tmp_path: Path
) -> None:
    state = known(store, clock)
    before = state.observe(60, "")
    file = tmp_path / "state.json"
    StateFile(file, state).sync()
    remove_namespace(store.client, store.prefix[1:-2])

    StateFile(file, state).sync()

    after = state.observe(60, "another")
    assert (after.cluster, after.launches) == ("the-cluster", before.launches)
    assert (after.boots_ms, after.needed) == ([3000], [{"9|": 2}])
    assert store.strategy() is BalancingStrategy.RANDOM


def test_a_store_with_state_of_its_own_overrules_the_file(
    store: ClusterStore, clock: Clock, tmp_path: Path
) -> None:
    file = tmp_path / "state.json"
    file.write_text(json.dumps({"version": 1, "scaling": {"config": {"cluster": "another"}}}))

    StateFile(file, known(store, clock)).sync()

    assert json.loads(file.read_text())["scaling"]["config"]["cluster"] == "the-cluster"


def test_a_file_is_not_written_again_while_nothing_changes(
    store: ClusterStore, clock: Clock, tmp_path: Path
) -> None:
    file = tmp_path / "state.json"
    kept = StateFile(file, known(store, clock))
    kept.sync()
    first = file.stat().st_ino

    kept.sync()

    assert file.stat().st_ino == first
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2, "scaling": {}}', '{"version": 1}'])
def test_a_file_that_makes_no_sense_is_refused_and_the_store_left_alone(
    text: str, store: ClusterStore, tmp_path: Path
) -> None:
    file = tmp_path / "state.json"
    file.write_text(text)

    with pytest.raises(ConfigurationError, match="cannot be read"):
        StateFile(file, ScalingState(store)).sync()

    assert ScalingState(store).observe(60, "").cluster == ""
    assert file.read_text() == text


def test_a_folder_that_is_not_there_is_named(
    store: ClusterStore, clock: Clock, tmp_path: Path
) -> None:
    file = tmp_path / "missing" / "state.json"

    with pytest.raises(ConfigurationError, match="No such file or directory"):
        StateFile(file, known(store, clock)).sync()
