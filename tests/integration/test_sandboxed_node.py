"""Nodes and the sandbox: what is said where there is none, and what a repository sees of a node."""

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixwurx_celery.artifacts import open_artifacts
from fixwurx_celery.broker import Doorbells, doorbell, make_app
from fixwurx_celery.cli.sources import pack
from fixwurx_celery.domain.bugs import TERMINAL, Bug
from fixwurx_celery.engine import cgroup
from fixwurx_celery.engine.sandbox import why_none
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import BugRecord, ClusterStore
from tests.support.engine_repos import GCD_FIX, gcd_repo, is_asleep
from tests.support.processes import nodes, start_node
from tests.support.waiting import wait_until

needs_sandbox = pytest.mark.skipif(bool(why_none()), reason=why_none())
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="hides bwrap from a node, as root can")

WITHOUT_BWRAP = (
    "unshare", "--mount", "sh", "-c",
    f'mount --bind /dev/null {shutil.which("bwrap") or "/usr/bin/bwrap"} && exec "$@"', "sh",
)  # fmt: skip


@pytest.fixture
def live(settings: Settings, tmp_path: Path) -> Settings:
    return replace(settings, work_dir=str(tmp_path / "work"), total_agents=3)


def submitted(settings: Settings, tmp_path: Path, **fields: Any) -> str:
    """A bug with a packed source, rung as any."""
    repo = tmp_path / "repo"
    if not repo.exists():
        gcd_repo(repo)
    source = {"artifact": open_artifacts(settings).put(pack(repo))}
    bug = Bug(id="hostile", payload={"source": source, "analyst": {"patches": [GCD_FIX]}} | fields)
    store = ClusterStore.from_settings(settings, bell=doorbell(settings))
    doorbells = Doorbells(make_app(settings))
    try:
        doorbells.ring(store.submit([bug])[1])
    finally:
        doorbells.close()
        store.close()
    return bug.id


def ended(store: ClusterStore, bug_id: str) -> BugRecord:
    wait_until(f"{bug_id} ends", lambda: store.bug(bug_id).state in TERMINAL, within_s=40)
    return store.bug(bug_id)


@needs_root
@needs_sandbox
@pytest.mark.slow
def test_a_node_that_must_confine_and_cannot_does_not_start(
    live: Settings, live_store: ClusterStore, tmp_path: Path
) -> None:
    node = start_node(
        replace(live, sandbox="bwrap"), live_store, "n1@here", tmp_path,
        wait=False, before=WITHOUT_BWRAP,
    )  # fmt: skip

    assert node.process.wait(timeout=30) != 0
    assert "FIXWURX_SANDBOX=bwrap, and bwrap not found; install bubblewrap" in node.log.read_text()
    assert node.state() is None


@needs_root
@needs_sandbox
@pytest.mark.slow
def test_a_node_that_cannot_confine_says_so_once_and_to_the_doctor(
    live: Settings, live_store: ClusterStore, tmp_path: Path
) -> None:
    node = start_node(live, live_store, "n1@here", tmp_path, before=WITHOUT_BWRAP)
    try:
        told = wait_until(
            "it is told with a heartbeat",
            lambda: live_store.snapshot().nodes[0].metrics.get("unconfined"),
        )
        assert told == "bwrap not found; install bubblewrap"
    finally:
        node.terminate()
    said = "commands of repositories run with all rights of this node's user"
    assert node.log.read_text().count(said) == 1


@needs_sandbox
def test_a_repository_sees_nothing_of_its_node(
    live: Settings, live_store: ClusterStore, tmp_path: Path
) -> None:
    look = (
        f"cat {tmp_path}/n1@here.log {tmp_path}/work/*/main 2>&1;"
        "cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep -E 'FIXWURX|redis'; env; exit 1"
    )
    with nodes(live, live_store, tmp_path, "n1@here"):
        bug_id = submitted(live, tmp_path, reproduce=look)
        record = ended(live_store, bug_id)
        log = live_store.log(bug_id, 1)

    assert record.outcome["outcome"] == "NOT_FIXED", log
    assert "reproduced: exit 1" in log
    assert "USER=fixwurx" in log
    assert log.count("No such file or directory") == 2
    assert "FIXWURX" not in log.partition("reproduced:")[2]
    password = live.redis_url.split(":")[2].split("@")[0]
    assert password not in log
    assert password not in json.dumps(record.outcome)


@needs_sandbox
@pytest.mark.slow
def test_nothing_of_a_killed_node_is_left(
    live: Settings, live_store: ClusterStore, tmp_path: Path
) -> None:
    seconds = f"1002.{os.getpid()}"
    with nodes(live, live_store, tmp_path, "n1@here") as (node,):
        submitted(live, tmp_path, reproduce=f"(setsid sleep 999 &); sleep {seconds}")
        wait_until("the command runs", lambda: is_asleep(seconds), within_s=20)
        time.sleep(1.5)  # until its supervisor has put it into a group of control
        node.kill()

        wait_until("the command is gone", lambda: not is_asleep(seconds))
        wait_until("the workspace is gone", lambda: not list((tmp_path / "work").glob("node-*")))
        wait_until("the groups are gone", lambda: not groups())


def groups() -> list[Path]:
    """Groups of control of supervisors that are no more."""
    parents = cgroup.parents(Path("/proc/self/cgroup").read_text())
    found = [path for folder, _ in parents for path in Path(folder).glob(f"{cgroup.PREFIX}*")]
    return [path for path in found if not Path("/proc", path.name.split("-")[1]).exists()]
