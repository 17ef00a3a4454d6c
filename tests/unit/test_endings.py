"""Endings: what is put aside, and what is kept until the store takes it."""

from dataclasses import replace
from pathlib import Path

import pytest

from fixwurx_celery.domain.bugs import Bug, BugState
from fixwurx_celery.domain.nodes import WorkerState
from fixwurx_celery.errors import StoreUnavailable
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.worker.endings import Ending, Spool, put_aside
from fixwurx_celery.worker.engine_host import check_size
from tests.support.cluster import node, running


class Kept(dict[str, bytes]):
    def put(self, content: bytes, /) -> str:
        self["ref"] = content
        return "ref"

    def get(self, ref: str, /) -> bytes:  # type: ignore[override]
        return self[ref]


def test_a_large_patch_is_put_aside() -> None:
    kept = Kept()

    assert put_aside({"patch": "x" * 10}, lambda: kept) == {"patch": "x" * 10}
    assert put_aside({"patch": "x" * 100_000}, lambda: kept) == {
        "patch": None, "patch_artifact": "ref",
    }  # fmt: skip
    assert kept["ref"] == b"x" * 100_000


def test_an_outcome_is_bounded_but_for_its_patch() -> None:
    check_size({"outcome": "FIXED", "patch": "x" * 300_000})
    with pytest.raises(ValueError, match="at most"):
        check_size({"outcome": "FIXED", "notes": "x" * 300_000})
    with pytest.raises(ValueError, match="at most"):
        check_size("x" * 300_000)


@pytest.fixture
def ending(store: ClusterStore) -> Ending:
    """That of a bug which still runs, as far as the store knows."""
    life, _ = node(store, "n0")
    (run,) = running(store, life, Bug(id="a"))
    return Ending(
        bug_id="a", node=run.node, incarnation=run.incarnation, epoch=run.epoch,
        runner=run.runner, state=BugState.DONE, outcome={"outcome": "FIXED"}, log="the end",
    )  # fmt: skip


def test_what_is_kept_is_delivered_once_the_store_is_back(
    tmp_path: Path, store: ClusterStore, ending: Ending
) -> None:
    Spool(tmp_path / "spool").keep(ending)
    away = ClusterStore.from_settings(Settings(redis_url="redis://127.0.0.1:1/0"))
    with pytest.raises(StoreUnavailable):
        list(Spool(tmp_path / "spool").deliver_all(away, Kept))

    delivered = list(Spool(tmp_path / "spool").deliver_all(store, Kept))  # another process

    assert [(told.bug_id, status) for told, status, _ in delivered] == [("a", "DONE")]
    assert store.bug("a").outcome == {"outcome": "FIXED"}
    assert store.log("a", 1) == "the end"
    assert not list((tmp_path / "spool").iterdir())


def test_a_run_without_an_outcome_is_given_back_when_the_store_is_back(
    tmp_path: Path, store: ClusterStore, ending: Ending
) -> None:
    died = Ending(
        bug_id="a", node=ending.node, incarnation=ending.incarnation, epoch=ending.epoch,
        runner=ending.runner, charge="attempts", reason="the engine's process died",
    )  # fmt: skip
    spool = Spool(tmp_path)
    spool.keep(died)

    ((_, status, following),) = spool.deliver_all(store, Kept)

    assert (status, store.bug("a").attempts) == ("PENDING", 1)
    assert [assignment.bug_id for assignment in following] == ["a"]


def test_an_ending_of_a_bug_that_is_somebody_elses_by_now_is_dropped(
    tmp_path: Path, store: ClusterStore, ending: Ending
) -> None:
    spool = Spool(tmp_path)
    spool.keep(ending)
    store.retire("n0", ending.incarnation)

    ((_, status, _),) = spool.deliver_all(store, Kept)

    assert status == "STALE"
    assert store.bug("a").state is BugState.PENDING
    assert len(spool) == 0


def test_an_outcome_counts_though_its_process_died_before_it_was_told(
    tmp_path: Path, store: ClusterStore, ending: Ending
) -> None:
    died = replace(ending, runner="", state=None, charge="attempts", reason="its process died")
    spool = Spool(tmp_path)
    spool.keep(died)
    spool.keep(ending)
    spool.keep(replace(ending, state=None, reason="its node stops"))

    delivered = [status for _, status, _ in spool.deliver_all(store, Kept)]

    assert delivered == ["DONE", "STALE"]
    assert store.bug("a").attempts == 0


def test_a_life_that_ended_while_the_store_was_away_is_retired_uncharged(
    tmp_path: Path, store: ClusterStore, ending: Ending
) -> None:
    spool = Spool(tmp_path)
    spool.keep_life(ending.node, ending.incarnation)

    assert [name for name, _ in spool.retire_all(store)] == [ending.node]

    assert store.snapshot().nodes[0].state is WorkerState.OFFLINE
    bug = store.bug("a")
    assert (bug.state, bug.attempts, bug.losses) == (BugState.PENDING, 0, 0)
    assert list(spool.retire_all(store)) == []


def test_a_life_kept_by_mistake_retires_no_other(
    tmp_path: Path, store: ClusterStore, ending: Ending
) -> None:
    spool = Spool(tmp_path)
    spool.keep_life(ending.node, "an-earlier-one")

    assert [assignments for _, assignments in spool.retire_all(store)] == [[]]

    assert store.bug("a").state is BugState.RUNNING


@pytest.mark.parametrize("text", ["", "{", "[]", '{"bug_id": "a"}'])
def test_what_cannot_be_read_is_put_aside_and_holds_nothing_up(
    text: str, tmp_path: Path, store: ClusterStore, ending: Ending
) -> None:
    spool = Spool(tmp_path)
    (tmp_path / "a-0.json").write_text(text)
    spool.keep(ending)

    delivered = list(spool.deliver_all(store, Kept))

    assert [status for _, status, _ in delivered] == ["DONE"]
    assert [path.name for path in tmp_path.iterdir()] == ["a-0.bad"]
