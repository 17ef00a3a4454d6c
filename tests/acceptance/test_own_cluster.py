"""A program that brings its own cluster: FixWurx's usage example, and all ways in which it ends."""

import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from tests.support.commands import Desk, desk
from tests.support.documented import documented, shown
from tests.support.shell import Shell
from tests.support.surroundings import ROOT
from tests.support.waiting import wait_until

NODE = re.compile(r"BUG-123 is assigned to (auto1@\S+)")

HOLDING = """
import sys, time
from fixwurx_celery import ResourceManager, ScalingCoordinator
coordinator = ScalingCoordinator(1, 2, 30, ResourceManager(3))
coordinator.start()
print("ready", *coordinator.workers, flush=True)
"""


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as made:
        yield made


def example() -> str:
    """The program that the document shows."""
    [program] = shown("fixwurx.md", "The usage example", "python")
    return program


def program(at: Desk, text: str) -> str:
    (at.folder / "program.py").write_text(text)
    return "program.py"


def test_the_usage_example_runs_as_written_and_leaves_nothing(at: Desk) -> None:
    ended = at.start_python(program(at, example())).end(within_s=30)

    assert ended.status == 0, ended.err
    assert NODE.search(ended.out), ended.out
    assert ended.err == ""
    at.check_nothing_is_left()
    assert not list(at.state.rglob("*.log")), "its state went with it"


def test_the_example_runs_with_fixwurxs_own_imports(at: Desk) -> None:
    _, _, body = example().partition(")\n")
    text = (
        "from resource_manager import ResourceManager\n"
        "from scaling_coordinator import ScalingCoordinator, WorkerState\n"
        "from load_balancer import LoadBalancer, BalancingStrategy\n"
        "from resource_manager_extension import ClusterResourceManager\n"
        "from parallel_executor import ParallelExecutor\n" + body
    )
    (at.folder / "main.py").write_text(text)
    [command] = documented("fixwurx.md", "In ten minutes")
    assert command.startswith('PYTHONPATH="')

    said = Shell(at)(command.replace(')"', f'):{ROOT}"', 1))  # which a reader has installed

    assert NODE.search(said), said
    at.check_nothing_is_left()


def test_the_example_runs_against_a_named_store_and_leaves_no_node_there(
    at: Desk, redis_url: str, namespace: str, live_store: ClusterStore
) -> None:
    ended = at.start_python(
        program(at, example()), FIXWURX_REDIS_URL=redis_url, FIXWURX_NAMESPACE=namespace
    ).end(within_s=30)

    assert ended.status == 0, ended.err
    assert NODE.search(ended.out), ended.out
    at.check_nothing_is_left()
    seen = live_store.snapshot()
    assert seen.live == []
    assert dict(seen.launches) == {}, "no controller waits for its nodes"


def test_nodes_that_are_there_are_enough(
    at: Desk, redis_url: str, namespace: str, live_store: ClusterStore
) -> None:
    live_store.register("theirs@elsewhere", "life", "9|python", {})
    listening = live_store.listen("theirs@elsewhere", "life")

    ended = at.start_python(
        program(at, example()), FIXWURX_REDIS_URL=redis_url, FIXWURX_NAMESPACE=namespace
    ).end(within_s=30)
    listening.close()

    assert "BUG-123 is assigned to theirs@elsewhere" in ended.out, ended.err
    at.check_nothing_is_left()


def test_a_program_that_ends_without_stop_leaves_nothing(at: Desk) -> None:
    ended = at.start_python("-c", HOLDING).end(within_s=30)

    assert ended.status == 0, ended.err
    assert "ready auto1@" in ended.out
    at.check_nothing_is_left()


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_a_program_that_is_killed_leaves_nothing_although_a_child_holds_its_pipes(
    at: Desk, how: str
) -> None:
    """What it forked inherits the guardian's pipe: that one watches the program itself too."""
    forking = HOLDING + "import os\nif not os.fork(): time.sleep(600)\ntime.sleep(600)\n"
    started = at.start_python("-c", forking)
    wait_until("it has a node", lambda: at.named("-n auto1@"), within_s=30)
    main = started.process.pid
    child = wait_until(
        "it has forked",
        lambda: [
            one for one in at.processes() if one.ppid() == main and "ready" in one.cmdline()[2]
        ],
        within_s=30,
    )[0]

    getattr(started.process, how)()

    wait_until(
        "all but the child are gone",
        lambda: [one.pid for one in at.processes()] == [child.pid],
        within_s=20,
    )
    child.kill()
    started.process.communicate(timeout=10)
    at.check_nothing_is_left()


def test_stop_can_be_followed_by_another_start(at: Desk) -> None:
    again = HOLDING + (
        "coordinator.stop()\ncoordinator.stop()\nprint(dict(coordinator.workers))\n"
        "coordinator.start()\nprint('again', *coordinator.workers)\ncoordinator.stop()\n"
    )

    ended = at.start_python("-c", again).end(within_s=60)

    assert ended.status == 0, ended.err
    assert re.search(r"ready auto1@\S+\n\{\}\nagain auto1@", ended.out), ended.out
    at.check_nothing_is_left()


def test_two_programs_have_two_clusters(at: Desk) -> None:
    program(at, example())

    both = [at.start_python("program.py") for _ in range(2)]

    for one in both:
        ended = one.end(within_s=60)
        assert ended.status == 0, ended.err
        assert NODE.search(ended.out), ended.out
    at.check_nothing_is_left()


def test_a_node_that_cannot_start_is_told_of_and_nothing_is_left(at: Desk) -> None:
    (at.folder / "sitecustomize.py").write_text(
        "import sys\n"
        "if any('-n' == one for one in sys.orig_argv):\n"
        "    raise SystemExit('no luck on this machine')\n"
    )
    path = f"{at.folder}:{ROOT}"

    ended = at.start_python("-c", HOLDING, PYTHONPATH=path, FIXWURX_BOOT_TIMEOUT_SEC="4").end(60)

    assert ended.status == 1
    assert "0 of 1 node serve, and no more come" in ended.err
    assert "no luck on this machine" in ended.err
    at.check_nothing_is_left()


def test_a_store_that_is_not_there_is_one_clear_error(at: Desk) -> None:
    ended = at.start_python("-c", HOLDING, FIXWURX_REDIS_URL="redis://127.0.0.1:1/0").end(60)

    assert ended.status == 1
    assert "StoreUnavailable: cannot reach the store" in ended.err
    at.check_nothing_is_left()


def test_bounds_that_are_not_given_are_those_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from fixwurx_celery import ScalingCoordinator

    monkeypatch.setenv("FIXWURX_MIN_WORKERS", "2")
    monkeypatch.setenv("FIXWURX_MAX_WORKERS", "7")
    monkeypatch.delenv("FIXWURX_REDIS_URL", raising=False)

    before = psutil.Process().children()

    made = ScalingCoordinator(max_workers=4)

    assert (made.min_workers, made.max_workers) == (2, 4)
    assert made.scaling_interval_sec == Settings().scaling_interval_sec
    assert psutil.Process().children() == before, "nothing is started before start()"
