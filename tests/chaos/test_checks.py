"""That the chaos suite's checks see what they are there to see."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from fixwurx_celery.domain.bugs import Bug, BugState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from tests.chaos.checks import check_history, check_outcomes, check_overlaps, check_store
from tests.chaos.engine import CHILD, STUBBORN, Chain, digest_of
from tests.chaos.fleet import Fleet
from tests.chaos.leftovers import left_in_store, left_when_expired
from tests.chaos.nemesis import Freeze, plan
from tests.chaos.work import Task, make_tasks
from tests.support.cluster import node, start
from tests.support.server import Server
from tests.support.surroundings import ROOT

PLAIN = {"steps": 3, "pace_s": 0.0}


def task(bug: Bug, manner: str = "plain") -> Task:
    return Task(bug=bug, manner=manner, submit_at_s=0)


def run_all(engine: Chain) -> Chain:
    while not engine.all_done():
        engine.execute_tick()
    return engine


@pytest.fixture
def bug(tmp_path: Path) -> Bug:
    (tmp_path / "trace").mkdir()
    return Bug(id="b", payload={**PLAIN, "trace": str(tmp_path / "trace")})


def workspace(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def test_one_seed_gives_one_plan(tmp_path: Path) -> None:
    first, again = (make_tasks(random.Random(5), 50, 60, tmp_path) for _ in range(2))
    strikes, more = (plan(random.Random(5), 60, Settings()) for _ in range(2))

    assert (first, strikes) == (again, more)
    assert make_tasks(random.Random(6), 50, 60, tmp_path) != first


def test_a_chain_comes_to_its_end_wherever_it_is_taken_up(bug: Bug, tmp_path: Path) -> None:
    first = Chain(bug, workspace(tmp_path, "a"), None)
    first.execute_tick()
    kept = json.loads(json.dumps(first.checkpoint()))
    first.lock.close()

    second = run_all(Chain(bug, workspace(tmp_path, "b"), kept))

    assert second.outcome["digest"] == digest_of("b", 3)
    assert check_overlaps(tmp_path / "trace", []).findings == []


def test_the_child_of_a_step_comes_to_the_same_digest(bug: Bug, tmp_path: Path) -> None:
    slow = Bug(id="b", payload={**bug.payload, "pace_s": 0.01})

    assert run_all(Chain(slow, workspace(tmp_path, "a"), None)).digest == digest_of("b", 3)


def test_a_wrong_checkpoint_and_a_dirty_workspace_are_seen(bug: Bug, tmp_path: Path) -> None:
    run = run_all(Chain(bug, workspace(tmp_path, "a"), [1, digest_of("other", 1)]))

    assert run.digest != digest_of("b", 3)
    with pytest.raises(RuntimeError, match="holds"):
        Chain(bug, tmp_path / "a", None)


def test_a_second_live_run_is_a_finding_unless_the_first_was_frozen(
    bug: Bug, tmp_path: Path
) -> None:
    program = (
        "import sys, time, pathlib; from fixwurx_celery.domain.bugs import Bug\n"
        "from tests.chaos.engine import Chain\n"
        f"bug = Bug(id='b', payload={bug.payload!r})\n"
        f"chain = Chain(bug, pathlib.Path({str(tmp_path / 'a')!r}), None)\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    workspace(tmp_path, "a")
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"

        Chain(bug, workspace(tmp_path, "b"), None).lock.close()
        first.kill()

    (line,) = check_overlaps(tmp_path / "trace", []).findings
    assert "two live runs" in line.text
    thawed = check_overlaps(tmp_path / "trace", [Freeze(first.pid, 0, 10**9)])
    assert (thawed.frozen, thawed.findings) == (1, [])


def test_wrong_outcomes_are_seen(store: ClusterStore) -> None:
    life, _ = node(store, "n0")
    bugs = [Bug(id=name, payload=PLAIN) for name in ("right", "wrong", "nobody-asked")]
    _, assigned = store.submit(bugs)
    for assignment, digest in zip(assigned[:2], (digest_of("right", 3), "?"), strict=True):
        run = start(store, assignment, life)
        store.finish(run.bug, run.node, run.incarnation, run.epoch, run.runner, BugState.DONE,
                     {"outcome": "FIXED", "digest": digest})  # fmt: skip
    store.cancel("nobody-asked")
    missing = Bug(id="missing", payload=PLAIN)

    found = check_outcomes(store, [task(b) for b in [*bugs, missing]], {}, 12)

    assert [finding.bug for finding in found] == ["wrong", "nobody-asked", "missing"]


def test_a_cancelled_bug_that_ends_otherwise_is_seen(store: ClusterStore) -> None:
    life, _ = node(store, "n0")
    (late,) = [Bug(id="late", payload=PLAIN)]
    _, (assignment,) = store.submit([late])
    run = start(store, assignment, life)
    store.finish(run.bug, run.node, run.incarnation, run.epoch, run.runner, BugState.DONE,
                 {"outcome": "FIXED", "digest": digest_of("late", 3)})  # fmt: skip

    assert check_outcomes(store, [task(late)], {"late": "CANCELLING"}, 12) == []
    assert check_outcomes(store, [task(late)], {"late": "CANCELLED"}, 12) != []


def test_over_commitment_and_a_second_holder_are_seen(store: ClusterStore) -> None:
    node(store, "n0", agents=3)
    store.submit([Bug(id="a", agents=2)])
    assert check_history(store) == []
    event = {"bug": "b", "node": "", "epoch": "", "detail": "2|", "action": "bug_submitted"}
    taken = {**event, "node": "n0", "action": "bug_assigned", "epoch": "9" * 16}
    for one in (event, taken, {**taken, "bug": "a", "epoch": "9" * 17}):
        store.client.xadd(store.prefix + "events", one)

    found = check_history(store)

    assert {finding.bug for finding in found if "came while it was" in finding.text} == {"a"}
    assert any("agents" in finding.text for finding in found)


def test_damage_in_the_store_and_keys_of_nobody_are_seen(store: ClusterStore) -> None:
    node(store, "n0")
    assert left_in_store(store, ["n0"]) == []
    store.submit([Bug(id="a")])
    store.client.hincrby(f"{store.prefix}node:n0", "free", 1)
    store.client.set(f"{store.prefix}stray", 1)
    bound = f"{store.prefix}celery:_kombu.binding.celery.pidbox"
    store.client.sadd(bound, "\x06\x16\x06\x16n9@chaos.celery.pidbox")
    store.client.lpush(f"{store.prefix}celery:fixwurx.node.gone", '{"body": "[]"}')

    assert any("n0 has" in finding.text for finding in check_store(store, 0))
    left = left_in_store(store, ["n0"])
    assert [line.partition(":")[0] for line in left] == [
        "celery", "queue celery", "key held", "key outbox", "key stray",
    ]  # fmt: skip


def test_what_outlives_its_time_is_seen(live_store: ClusterStore, settings: Settings) -> None:
    live_store.submit([Bug(id="a")])
    live_store.cancel("a")
    live_store.client.set(f"{live_store.prefix}log:gone:1", "no expiry")

    assert left_when_expired(settings) == ["key log:gone:1 outlives its time"]


def test_a_process_that_is_left_is_seen(tmp_path: Path, settings: Settings) -> None:
    fleet = Fleet(settings, Server(tmp_path, 0, "", False), tmp_path)
    left = subprocess.Popen(
        [sys.executable, "-c", STUBBORN, CHILD], env=fleet.environment, start_new_session=True
    )

    assert [process.pid for process in fleet.processes()] == [left.pid]
    fleet.end()
    assert left.wait(timeout=10) == -9
