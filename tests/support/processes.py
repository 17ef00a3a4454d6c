"""Real processes of tests: nodes, and what they leave."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from fixwurx_celery.domain.nodes import WorkerState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from tests.support.surroundings import environment
from tests.support.waiting import wait_until


@dataclass(slots=True)
class NodeProcess:
    """One `celery worker`, as an operator starts it."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path
    store: ClusterStore

    @property
    def worker_id(self) -> str:
        return self.name

    def state(self) -> WorkerState | None:
        for node in self.store.snapshot().nodes:
            if node.worker_id == self.name:
                return node.state
        return None

    def pool(self) -> list[psutil.Process]:
        """Its pool processes."""
        return [
            child
            for child in psutil.Process(self.process.pid).children()
            if "warden.py" not in " ".join(child.cmdline())
        ]

    def engine_hosts(self) -> list[psutil.Process]:
        """The processes in which engines run."""
        return [host for child in self.pool() for host in child.children()]

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)

    def terminate(self, within_s: float = 30) -> int:
        """SIGTERM; its exit status."""
        self.process.terminate()
        return self.process.wait(timeout=within_s)


def start_node(
    settings: Settings,
    store: ClusterStore,
    name: str,
    folder: Path,
    *,
    wait: bool = True,
    before: Sequence[str] = (),
    options: Sequence[str] = (),
) -> NodeProcess:
    """A node that is registered (unless not waited for). `before` goes before its command, and
    `options` after it."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*before, sys.executable, "-m", "celery", "-A", "fixwurx_celery", "worker",
             "-n", name, "--loglevel", "INFO", *options],
            env=environment(settings),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )  # fmt: skip
    node = NodeProcess(name, process, log, store)
    if wait:
        wait_until(
            f"{name} is ready; its log: {log}",
            lambda: node.state() in (WorkerState.READY, WorkerState.BUSY),
            within_s=30,
        )
    return node


@contextmanager
def nodes(
    settings: Settings, store: ClusterStore, folder: Path, *names: str
) -> Iterator[list[NodeProcess]]:
    """Nodes of these names, ended at the end with all they started."""
    started = [start_node(settings, store, name, folder, wait=False) for name in names]
    try:
        for node in started:
            wait_until(
                f"{node.name} is ready; its log: {node.log.read_text()[-2000:]}",
                lambda node=node: node.state() in (WorkerState.READY, WorkerState.BUSY),  # type: ignore[misc]
                within_s=40,
            )
        yield started
    finally:
        for node in started:
            if node.process.poll() is None:
                node.process.kill()
                node.process.wait(timeout=10)


def freeze(pid: int) -> None:
    """SIGSTOP; returns when every thread of the process stands still."""
    os.kill(pid, signal.SIGSTOP)
    threads = [thread.id for thread in psutil.Process(pid).threads()]
    wait_until(
        f"{pid} stands still",
        lambda: all(psutil.Process(id_).status() == psutil.STATUS_STOPPED for id_ in threads),
    )


def having(argument: str) -> list[int]:
    """Living processes with this command-line argument."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if argument in (process.info["cmdline"] or []) and process.info["status"] != "zombie":
            found.append(process.pid)
    return found
