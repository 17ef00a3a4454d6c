"""Nodes as processes of this host: who starts them, who sees them, and what is left of them."""

import contextlib
import dataclasses
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fixwurx_celery.domain.nodes import NodeSpec, WorkerState
from fixwurx_celery.errors import ConfigurationError, ProviderError
from fixwurx_celery.providers import LaunchOrder, ProvidedNode, ProvidedState, open_provider
from fixwurx_celery.providers.local import LocalProvider, supervisor_folder
from fixwurx_celery.settings import Settings
from tests.support.documented import documented, shown
from tests.support.live_cluster import LiveCluster
from tests.support.surroundings import ROOT, environment, surroundings
from tests.support.waiting import wait_until

SPEC = NodeSpec(agents=3, capabilities=frozenset({"python", "quick"}))
PATIENCE_S = 30.0


class Host:
    """A folder for a supervisor, and the processes that come from it: they carry its mark."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "supervised"
        self.mark = f"host-{uuid.uuid4().hex}"
        monkeypatch.setenv("HOST_MARK", self.mark)
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        self.provider = self.another()

    def another(self, **options: Any) -> LocalProvider:
        """As another process of the cluster has it."""
        return LocalProvider(self.folder, **options)

    def processes(self) -> list[psutil.Process]:
        """The living ones, the test's own excepted."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                is_ours = process.environ().get("HOST_MARK") == self.mark
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return [process for process in found if process.pid != os.getpid()]

    def having(self, *parts: str) -> list[psutil.Process]:
        """Those with all of this in their command line, parents before their forks."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if all(part in " ".join(process.cmdline()) for part in parts):
                    found.append(process)
        return sorted(found, key=lambda process: process.pid)

    def supervisor(self) -> psutil.Process:
        """The one. Others that were started with it are on their way out, if there are any."""

        def is_alone() -> list[psutil.Process]:
            found = self.having("providers.supervisor")
            return found if len(found) == 1 else []

        return wait_until("there is one supervisor", is_alone)[0]

    def main(self, name: str) -> psutil.Process:
        """The main process of a node: the child of the supervisor."""
        return next(p for p in self.supervisor().children() if f"{name}@" in " ".join(p.cmdline()))

    def node(self, name: str) -> ProvidedNode:
        return next(node for node in self.provider.list() if node.name == name)

    def waits_for(self, name: str, state: ProvidedState) -> ProvidedNode:
        wait_until(
            f"{name} is {state}", lambda: self.node(name).state is state, within_s=PATIENCE_S
        )
        return self.node(name)

    def kill_all(self) -> bool:
        """Kills what there is; whether there was nothing."""
        found = self.processes()
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return not found

    def gone(self, within_s: float = 15) -> None:
        wait_until("all processes are gone", lambda: not self.processes(), within_s=within_s)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    made = Host(tmp_path, monkeypatch)
    yield made
    wait_until("all processes are killed", made.kill_all)


@pytest.fixture
def live(redis_url: str, tmp_path: Path) -> Iterator[LiveCluster]:
    made = LiveCluster(tmp_path, redis_url=redis_url, work_dir=str(tmp_path / "work"))
    yield made
    made.close()


def order(name: str, settings: Settings, **environment: str) -> LaunchOrder:
    return LaunchOrder(name=name, spec=SPEC, environment={**settings.environment(), **environment})


def hopeless(name: str) -> LaunchOrder:
    """A node whose store is not there: it tries for as long as it is let."""
    return order(name, Settings(redis_url="redis://:no@127.0.0.1:1/0"))


def registers(live: LiveCluster, worker_id: str) -> None:
    def is_ready() -> bool:
        seen = {node.worker_id: node.state for node in live.store.snapshot().nodes}
        return seen.get(worker_id) in (WorkerState.READY, WorkerState.BUSY)

    wait_until(f"{worker_id} has registered", is_ready, within_s=PATIENCE_S)


# -- a node's life ---------------------------------------------------------------------------


def test_a_node_is_launched_works_and_is_stopped(host: Host, live: LiveCluster) -> None:
    provider = host.provider
    worker_id = provider.worker_id("w1")

    provider.launch(order("w1", live.settings))
    registers(live, worker_id)

    bug_id = live.submit({"phase": "PATCH"}, requires=frozenset({"quick"}))
    assert live.wait(bug_id).outcome["outcome"] == "FIXED"
    assert live.seen(worker_id).total_agents == 3
    assert live.seen(worker_id).capabilities == SPEC.capabilities
    (listed,) = provider.list()
    assert (listed.name, listed.spec, listed.state) == ("w1", SPEC, ProvidedState.RUNNING)
    assert listed.age_s > 0

    provider.stop("w1")
    assert host.node("w1").state in (ProvidedState.STOPPING, ProvidedState.ENDED)
    ended = host.waits_for("w1", ProvidedState.ENDED)
    assert ended.detail.startswith("it ended with exit status 0; the end of its log:\n")
    live.waits_for(WorkerState.OFFLINE, worker_id)

    provider.remove("w1")
    assert provider.list() == []
    assert [process.pid for process in host.processes()] == [host.supervisor().pid]


def test_a_node_that_works_is_removed_with_all_that_it_has_started(
    host: Host, live: LiveCluster
) -> None:
    provider = host.provider
    provider.launch(order("w1", live.settings))
    provider.launch(order("w2", live.settings))
    bug = live.long_bug(requires=frozenset({"quick"}))
    busy = bug.record().worker_id or ""
    name = busy.partition("@")[0]
    other = "w2" if name == "w1" else "w1"
    registers(live, provider.worker_id(other))
    children = bug.processes()

    provider.remove(name)

    assert [node.name for node in provider.list()] == [other]
    assert not host.having(f"{name}@")
    assert not [pid for pid in children if psutil.pid_exists(pid)]
    # Only what the other one has is left of the folders of nodes, and of their logs.
    assert len(list((live.folder / "work").glob("node-*"))) == 1
    assert [log.stem for log in (host.folder / "logs").iterdir()] == [other]
    assert bug.runs_again().worker_id == provider.worker_id(other)
    provider.remove(other)
    assert not list((live.folder / "work").glob("node-*"))


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"FIXWURX_ENGINE": "nowhere"}, "FIXWURX_ENGINE='nowhere' must be written module:callable"),
        ({"FIXWURX_CAPABILITIES": "a b", "FIXWURX_LEASE_SEC": "0"}, "FIXWURX_LEASE_SEC"),
    ],
)
def test_a_node_that_ends_at_once_says_why(
    host: Host, live: LiveCluster, environment: dict[str, str], said: str
) -> None:
    host.provider.launch(order("w1", live.settings, **environment))

    ended = host.waits_for("w1", ProvidedState.ENDED)

    assert "it ended with exit status" in ended.detail.splitlines()[0]
    assert said in ended.detail


def test_a_node_that_the_store_does_not_let_in_says_why(host: Host, live: LiveCluster) -> None:
    url = live.settings.redis_url
    wrong = url.replace(url.partition("://:")[2].partition("@")[0], "wr0ngw0rd")
    assert wrong != url

    host.provider.launch(order("w1", live.settings, FIXWURX_REDIS_URL=wrong))

    # It goes on trying: the store may come to its senses.
    wait_until(
        "it says why it does not start",
        lambda: "invalid username-password pair" in host.node("w1").detail,
        within_s=PATIENCE_S,
    )
    host.provider.stop("w1")
    assert "wr0ngw0rd" not in host.waits_for("w1", ProvidedState.ENDED).detail


def test_what_is_not_there_is_neither_stopped_nor_removed_and_that_is_no_error(host: Host) -> None:
    host.provider.stop("w1")
    host.provider.remove("w1")

    assert host.provider.list() == []


def test_a_node_that_is_killed_is_listed_as_ended(host: Host) -> None:
    host.provider.launch(hopeless("w1"))
    host.main("w1").kill()

    assert "it was killed by SIGKILL" in host.waits_for("w1", ProvidedState.ENDED).detail


@pytest.mark.parametrize("name", ["", "a b", "../x", "a" * 41, "a-b"])
def test_a_name_that_is_no_name_is_refused(host: Host, name: str) -> None:
    with pytest.raises(ProviderError, match="must be 1 to 40 letters and digits"):
        host.provider.launch(hopeless(name))


def test_a_node_starts_in_the_folder_of_who_launches_it_without_its_celery_settings(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://elsewhere")
    monkeypatch.setenv("FIXWURX_NAMESPACE", "elsewhere")
    monkeypatch.setenv("OF_THE_ENGINE", "1")

    host.provider.launch(hopeless("w1"))

    environment = host.main("w1").environ()
    assert host.main("w1").cwd() == str(tmp_path)
    assert environment["OF_THE_ENGINE"] == "1"
    assert not {"CELERY_BROKER_URL", "FIXWURX_NAMESPACE"} & set(environment)


# -- several who launch ----------------------------------------------------------------------


def test_a_name_is_launched_once_however_often_it_is_asked_for(host: Host) -> None:
    host.provider.launch(hopeless("w1"))
    first = host.main("w1").pid
    host.another().launch(hopeless("w1"))

    assert [node.name for node in host.provider.list()] == ["w1"]
    assert host.main("w1").pid == first


LAUNCH = """
import sys
from pathlib import Path
from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.providers import LaunchOrder
from fixwurx_celery.providers.local import LocalProvider

provider = LocalProvider(Path(sys.argv[1]), timeout_s=20)
spec = NodeSpec(agents=3, capabilities=frozenset({"python"}))
order = LaunchOrder(name="w1", spec=spec, environment={"FIXWURX_REDIS_URL": sys.argv[2]})
sys.stdin.read()
provider.launch(order)
"""


def launchers(host: Host, count: int) -> "list[subprocess.Popen[bytes]]":
    """Processes that launch the same node as soon as their input ends."""
    return [
        subprocess.Popen(
            [sys.executable, "-c", LAUNCH, str(host.folder), "redis://127.0.0.1:1/0"],
            stdin=subprocess.PIPE,
        )
        for _ in range(count)
    ]


def test_processes_that_launch_it_at_once_get_one_supervisor_and_one_node(host: Host) -> None:
    started = launchers(host, 4)
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
    statuses = [process.wait(timeout=30) for process in started]

    assert statuses == [0] * 4
    mains = [p for p in host.supervisor().children() if "w1@" in " ".join(p.cmdline())]
    assert len(mains) == 1


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3])
def test_what_a_launcher_that_was_killed_has_started_is_what_is_listed(
    host: Host, after_s: float
) -> None:
    (process,) = launchers(host, 1)
    assert process.stdin is not None
    process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after_s)  # it is killed at some step of its launch
    process.kill()
    process.wait(timeout=10)

    listed = [node.name for node in host.another(timeout_s=20).list()]

    mains = [p for p in host.supervisor().children() if "w1@" in " ".join(p.cmdline())]
    assert len(mains) == len(listed) <= 1


# -- the supervisor --------------------------------------------------------------------------


def test_the_nodes_are_found_by_whoever_comes_next(host: Host) -> None:
    (process,) = launchers(host, 1)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=30) == 0

    assert [node.name for node in host.provider.list()] == ["w1"]


def test_kill_9_of_the_supervisor_ends_its_nodes_and_the_next_call_starts_another(
    host: Host, live: LiveCluster
) -> None:
    host.provider.launch(order("w1", live.settings))
    bug = live.long_bug(requires=frozenset({"quick"}))

    host.supervisor().kill()
    host.gone()
    wait_until("what the bug had started is gone", lambda: not bug.processes())

    assert host.provider.list() == []
    host.provider.launch(order("w2", live.settings))
    assert bug.runs_again(within_s=30).worker_id == host.provider.worker_id("w2")


def test_told_to_end_it_lets_its_nodes_end_and_leaves_nothing(
    host: Host, live: LiveCluster
) -> None:
    host.provider.launch(order("w1", live.settings))
    registers(live, host.provider.worker_id("w1"))

    host.supervisor().terminate()

    host.gone(within_s=20)
    live.waits_for(WorkerState.OFFLINE, host.provider.worker_id("w1"))
    assert not host.folder.exists()


def test_without_nodes_and_questions_it_ends_by_itself(host: Host) -> None:
    provider = host.another(idle_s=0.5)
    provider.launch(hopeless("w1"))
    supervisor = host.supervisor()
    with pytest.raises(psutil.TimeoutExpired):
        supervisor.wait(timeout=1.5)
    provider.remove("w1")

    host.gone(within_s=5)

    assert not host.folder.exists()
    assert provider.list() == []


def test_a_supervisor_that_hangs_is_given_up_in_time(host: Host) -> None:
    provider = host.another(timeout_s=1)
    provider.list()
    host.supervisor().suspend()

    with pytest.raises(ProviderError, match=r"did not answer within 1 s"):
        provider.list()

    host.supervisor().resume()
    assert provider.list() == []


def test_one_that_somebody_else_keeps_running_is_not_started(host: Host) -> None:
    provider = host.another(is_supervised=True, timeout_s=0.3)

    with pytest.raises(ProviderError, match=r"did not answer within 0\.3 s"):
        provider.list()

    assert not host.processes()


def test_one_that_is_kept_running_as_it_is_written_outlives_who_launches(
    host: Host, live: LiveCluster, tmp_path: Path
) -> None:
    [command], [block] = documented("providers.md", "local"), shown("providers.md", "local", "yaml")
    there, here = "/run/fixwurx/nodes", tmp_path / "kept" / "nodes"
    assert there in command
    assert there in block
    options = tmp_path / "options.yaml"
    options.write_text(block.replace(there, str(here)))
    settings = dataclasses.replace(
        live.settings, provider="local", provider_options=str(options)
    )  # fmt: skip
    python = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    supervisor = subprocess.Popen(
        ["sh", "-c", f"exec {command.replace(there, str(here))}"],
        env=surroundings(HOST_MARK=host.mark, PATH=python), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    first, second = (open_provider(settings, "a") for _ in range(2))
    assert first is not None
    assert second is not None

    first.launch(order("w1", live.settings))
    registers(live, first.worker_id("w1"))
    first.close()

    assert [node.name for node in second.list()] == ["w1"]
    assert {process.ppid() for process in host.having("w1@")} & {supervisor.pid}
    supervisor.terminate()
    assert supervisor.wait(timeout=30) == 0
    live.waits_for(WorkerState.OFFLINE, second.worker_id("w1"))
    host.gone()
    assert not here.exists()


@contextlib.contextmanager
def controller(settings: Settings, folder: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """A controller with its beat. It is killed at the end, as by a power cut."""
    with (folder / "controller.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "fixwurx_celery.controller", "worker",
             "-n", "controller@here", "-B", "--schedule", str(folder / "schedule")],
            env=environment(settings),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=10)


@pytest.mark.slow
def test_a_controller_that_is_killed_leaves_its_nodes_to_the_next(
    host: Host, live: LiveCluster
) -> None:
    settings = dataclasses.replace(
        live.settings, provider="local", min_workers=1, max_workers=2,
        scaling_interval_sec=1, scale_down_window_sec=2,
    )  # fmt: skip
    first, second = (host.provider.worker_id(name) for name in ("auto1", "auto2"))

    with controller(settings, live.folder):
        registers(live, first)
    life = live.seen(first).incarnation

    with controller(settings, live.folder):
        bugs = [live.submit({"sleep_s": 5}, agents=3) for _ in range(2)]
        registers(live, second)
        assert live.seen(first).incarnation == life
        records = [live.wait(bug_id) for bug_id in bugs]
        wait_until(
            "the one that nothing needs any more is gone",
            lambda: len(live.store.snapshot().live) == 1,
            within_s=PATIENCE_S,
        )

    assert {record.outcome["outcome"] for record in records} == {"FIXED"}


# -- the folder ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_into_which_others_may_look_is_refused(host: Host, mode: int) -> None:
    host.folder.mkdir()
    host.folder.chmod(mode)

    with pytest.raises(ProviderError, match=f"its mode is {mode:o} and must be 700"):
        host.provider.list()

    assert not host.processes()


def test_a_link_in_the_place_of_the_folder_is_refused(host: Host, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    host.folder.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ProviderError, match="cannot keep local nodes in"):
        host.provider.list()


def stale_socket(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        folder_fd = os.open(folder, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{folder_fd}/s")
        os.close(folder_fd)


def stale_lock(folder: Path) -> None:
    (folder / "lock").write_text("1-0")


def foreign_file(folder: Path) -> None:
    (folder / "s").write_text("no socket")


@pytest.mark.parametrize("leave", [stale_socket, stale_lock, foreign_file])
def test_what_a_dead_supervisor_left_is_in_nobodys_way(
    host: Host, leave: Callable[[Path], None]
) -> None:
    host.folder.mkdir(mode=0o700)
    leave(host.folder)

    assert host.provider.list() == []


def test_a_folder_may_lie_deeper_than_a_socket_can_be_named(host: Host, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / "e"
    host.folder = deep
    provider = host.another()

    assert provider.list() == []
    assert (deep / "s").is_socket()


def test_each_cluster_has_a_folder_of_its_own_below_that_of_all_nodes(tmp_path: Path) -> None:
    settings = Settings(provider="local", work_dir=str(tmp_path))

    one, other = (open_provider(settings, name) for name in ("a-1", "a-2"))

    assert isinstance(one, LocalProvider)
    assert isinstance(other, LocalProvider)
    assert one.folder != other.folder
    assert one.folder.parent == tmp_path
    assert one.scope == f"local:{socket.gethostname()}"
    assert supervisor_folder(Settings(), "a").parent.name == f"fixwurx-{os.getuid()}"


def test_a_supervisor_that_somebody_else_runs_is_named_by_an_option(tmp_path: Path) -> None:
    options = tmp_path / "options.yaml"
    settings = Settings(provider="local", provider_options=str(options))

    options.write_text(f"supervisor: {tmp_path}/there\n")
    provider = open_provider(settings, "a")
    assert isinstance(provider, LocalProvider)
    assert (provider.folder, provider.is_supervised) == (tmp_path / "there", True)

    options.write_text("supervisors: 3\n")
    with pytest.raises(ConfigurationError, match="no option supervisors; did you mean supervisor"):
        open_provider(settings, "a")
    options.write_text("supervisor: 3\n")
    with pytest.raises(ConfigurationError, match="option supervisor: 3 is no folder"):
        open_provider(settings, "a")


def test_the_password_is_in_the_nodes_environment_and_nowhere_else(
    host: Host, live: LiveCluster, tmp_path: Path
) -> None:
    password = live.settings.redis_url.partition("://:")[2].partition("@")[0]
    assert len(password) > 10
    host.provider.launch(order("w1", live.settings))
    host.provider.launch(order("w2", live.settings, FIXWURX_ENGINE="nowhere"))
    registers(live, host.provider.worker_id("w1"))
    host.waits_for("w2", ProvidedState.ENDED)

    for process in host.processes():
        assert password not in " ".join(process.cmdline())
    assert password not in " ".join(host.supervisor().environ().values())
    for file in (path for path in host.folder.rglob("*") if path.is_file()):
        assert password not in file.read_text(), file
    assert password not in repr(host.provider.list())


def test_a_question_that_makes_no_sense_is_answered_without_quoting_it(host: Host) -> None:
    host.provider.list()
    for text in (b"{]\n", b'{"do": "launch", "name": "x", "environment": "s3cret"}\n'):
        fd = os.open(host.folder, os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"/proc/self/fd/{fd}/s")
            connection.sendall(text)
            answer = connection.makefile().readline()
        os.close(fd)
        assert "could not make sense" in answer
        assert "s3cret" not in answer

    assert "s3cret" not in (host.folder / "supervisor.log").read_text()
    assert host.provider.list() == []
