"""Owns every process of an embedded cluster, and ends them all when its owner ends.

Run as a process of its own, in a session of its own, with its owner, a command or a program, at the
other end of its standard input: first a line of JSON that says what to start, then nothing but
"scale", which may come once, until the owner ends, in whatever way; the end of that pipe is the
order to clear up, and so is the owner's death, should a child of its own still hold the pipe.
It is a subreaper, so whatever its children leave behind becomes its own child and is ended too.

    store starts ──answers──▶ nodes, supervisor of further ones, controller
                                       └──one dies──▶ restarted, with a growing pause
                                                      ──five times in a row──▶ failed
                 ──"scale"──▶ the controller, where it scales
    end of stdin | "now" | SIGTERM | owner dies ──▶ nodes end ──▶ all else is killed ──▶ store ends

Where the cluster has a store of its own elsewhere, none is started.
"""

import contextlib
import json
import logging
import os
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fixwurx_celery.embedded.server import answers, free_port, server_configuration
from fixwurx_celery.logs import Line, words, write_log
from fixwurx_celery.processes import (
    identity,
    inherit_orphans,
    is_alive,
)
from fixwurx_celery.processes.child import Child, buried
from fixwurx_celery.processes.offspring import end_children, living_children
from fixwurx_celery.processes.wakeup import Wakeup

__all__ = ["main"]

STORE_DEADLINE_S: Final = 60.0
"""A large append-only file takes seconds to read; what has not answered by then will not."""
NODES_GRACE_S: Final = 4.0
DRAIN_GRACE_S: Final = 3.0
"""What the supervisor gives its nodes of that."""
WARDENS_GRACE_S: Final = 2.0
STORE_GRACE_S: Final = 2.0
"""Together with what killing takes these stay below the 15 s in which all has to be gone."""
QUICK_DEATH_S: Final = 10.0
MOST_QUICK_DEATHS: Final = 5
LOOK_AT_LOGS_S: Final = 20.0
PREFIX: Final = "fw-"
"""Short, because tests open sockets below it, and the path of a socket holds 107 bytes."""
OWNER: Final = "guardian"
TEMPORARY: Final = "t"
SUPERVISOR: Final = "supervisor"
NODE: Final = "node"
"""What the names of nodes begin with, and of nothing else."""

log = logging.getLogger("guardian")


@dataclass(slots=True)
class Guardian:
    """The state of the process."""

    store: Child | None
    workers: list[Child]
    late: list[Child]
    """Those of `workers` that start when the nodes serve: before, scaling would have nodes started
    in the place of those that boot."""
    owner_fd: int
    """Readable when the owner has died."""
    own_state: Path | None
    """A folder of the owner's that goes when all has ended."""
    port: int
    password: str = field(repr=False)
    folder: Path
    store_folder: Path
    wakeup: Wakeup
    provider_options: str = ""
    store_answers: bool = False
    store_tries: int = 0
    deadline: float = field(default_factory=lambda: time.monotonic() + STORE_DEADLINE_S)
    logs_looked_at: float = field(default_factory=time.monotonic)

    # -- starting and keeping --------------------------------------------------------------

    def run(self) -> float:
        """Keeps everything running until told to stop; the grace time that the stop allows."""
        if self.store is None:
            self._store_answers({})
        else:
            self._start_store(self.store)
        with selectors.DefaultSelector() as selector:
            for descriptor in (0, self.owner_fd, self.wakeup.fd):
                selector.register(descriptor, selectors.EVENT_READ)
            while not self.wakeup.is_told_to_end:
                ready = [key.fd for key, _ in selector.select(self._pause())]
                if self.wakeup.fd in ready:
                    self.wakeup.clear()
                if self.owner_fd in ready:
                    return NODES_GRACE_S
                if 0 in ready and (grace_s := self._hear(os.read(0, 64))) is not None:
                    return grace_s
                for child, status in buried(self._all()):
                    self._after_death(child, status)
                self._start_due()
                if self.store and self.store.process and not self.store_answers:
                    self._ask_store(self.store)
                self._bound_logs()
        return NODES_GRACE_S

    def _hear(self, order: bytes) -> float | None:
        """The grace time of a stop, if that is what the command wants."""
        if b"now" in order:
            return 0.0
        if not order.startswith(b"scale"):
            return NODES_GRACE_S
        for child in self.late:
            child.start_at = time.monotonic()
        return None

    def _pause(self) -> float:
        if not self.store_answers:
            return 0.02
        due = [child.start_at for child in self._all() if child.start_at is not None]
        return max(0.0, min([*due, time.monotonic() + 5.0]) - time.monotonic())

    def _all(self) -> list[Child]:
        return [self.store, *self.workers] if self.store else self.workers

    def _start_store(self, store: Child) -> None:
        store.text = server_configuration(
            port=self.port, password=self.password, folder=self.store_folder
        )
        store.start()
        log.info(about(store, f"is started as process {pid_of(store)}"))

    def _ask_store(self, store: Child) -> None:
        if answers(self.port, self.password):
            url = f"redis://:{self.password}@127.0.0.1:{self.port}/0"
            self._store_answers({"FIXWURX_REDIS_URL": url})
        elif time.monotonic() > self.deadline:
            self._fail(store, f"it did not answer within {STORE_DEADLINE_S:g} s")
            self.deadline = float("inf")

    def _store_answers(self, address: Mapping[str, str]) -> None:
        """Has the rest started. A private store is at this address."""
        self.store_answers = True
        tell(
            "store_answers",
            port=self.port if address else 0,
            folder=str(self.folder),
            provider_options=self.provider_options,
        )
        now = time.monotonic()
        for worker in self.workers:
            if worker.name != SUPERVISOR:  # its nodes' settings come with the order for each
                worker.environment |= {
                    **address,
                    "FIXWURX_WORK_DIR": str(self.folder),
                    "FIXWURX_PROVIDER_OPTIONS": self.provider_options,
                    # What a killed process leaves in its temporary folder goes with ours.
                    "TMPDIR": str(self.folder / TEMPORARY),
                }
            if not worker.has_run and worker not in self.late:
                worker.start_at = now + worker.delay_s

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._all():
            if child.start_at is not None and child.start_at <= now:
                child.start()
                log.info(about(child, f"is started as process {pid_of(child)}"))

    def _after_death(self, child: Child, status: int) -> None:
        """Settles when it starts again, if it does."""
        now = time.monotonic()
        if child is self.store and not self.store_answers and self.store_tries < 3:
            # Somebody took the port between our choice and its start.
            self.store_tries += 1
            self.port = free_port()
            self._start_store(child)
            return
        quick = now - child.started_at < QUICK_DEATH_S
        child.quick_deaths = child.quick_deaths + 1 if quick else 1
        if child.quick_deaths >= MOST_QUICK_DEATHS or (
            child is self.store and not self.store_answers
        ):
            self._fail(child, f"it ended with status {status}")
            return
        pause_s = 0.25 * 2 ** (child.quick_deaths - 1)
        child.start_at = now + pause_s
        log.warning(about(child, f"ended with status {status}; it starts again in {pause_s:g} s"))
        tell("restarting", name=child.name, status=status, pause_s=pause_s, log=str(child.log))

    def _fail(self, child: Child, why: str) -> None:
        log.error(about(child, f"cannot be kept running: {why}"))
        tell("failed", name=child.name, why=why, log=str(child.log))

    def _bound_logs(self) -> None:
        now = time.monotonic()
        if now - self.logs_looked_at < LOOK_AT_LOGS_S:
            return
        self.logs_looked_at = now
        for child in self._all():
            child.bound_log()

    # -- ending ----------------------------------------------------------------------------

    def stop(self, grace_s: float) -> None:
        """Ends everything, the store last, so that what the nodes still have to say is kept."""
        self.wakeup.be_deaf()
        log.info(words("everything ends", grace_s=grace_s))
        for worker in self.workers:
            worker.start_at = None
            worker.send(signal.SIGTERM)
        if self.store:
            self.store.start_at = None
        self._wait(lambda: not any(worker.process for worker in self.workers), grace_s)
        for worker in self.workers:
            worker.send(signal.SIGKILL)
        # A killed node's warden knows best what to end, and removes the node's folder.
        store = self.store
        store_pid = store.process.pid if store and store.process else 0
        self._wait(lambda: living_children() <= {store_pid}, WARDENS_GRACE_S)
        end_children(spare={store_pid}, timeout_s=3.0)
        if store:
            store.send(signal.SIGTERM)
            self._wait(lambda: store.process is None, STORE_GRACE_S)
            end_children(timeout_s=2.0)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.own_state:
            shutil.rmtree(self.own_state, ignore_errors=True)

    def _wait(self, is_so: Callable[[], bool], most_s: float) -> None:
        deadline = time.monotonic() + most_s
        while True:
            for child, status in buried(self._all()):
                log.info(about(child, f"ended with status {status}"))
            if is_so() or time.monotonic() > deadline:
                return
            time.sleep(0.01)


def about(child: Child, text: str) -> Line:
    """A line of the log about that process; it names the node that it is, if it is one."""
    is_node = child.name.startswith(NODE)
    node = f"{child.name}@{socket.gethostname()}" if is_node else None
    return words(f"the {NODE if is_node else child.name} {text}", node=node)


def pid_of(child: Child) -> int | None:
    """Its process, while it runs."""
    return child.process.pid if child.process else None


def tell(event: str, **fields: Any) -> None:
    """A line to the owner, if it still lives, and reads: one that does not must not hold us up."""
    with contextlib.suppress(OSError):
        os.write(1, (json.dumps({"event": event, **fields}) + "\n").encode())


def main() -> None:
    """Reads what to start, keeps it running, and ends it."""
    inherit_orphans()
    os.set_blocking(1, False)
    order = read_line(0)
    if not order:
        return
    plan = json.loads(order)
    write_log(plan["log_format"], "guardian")
    try:
        owner_fd = os.pidfd_open(plan["owner"])
    except ProcessLookupError:
        return
    if os.getppid() != plan["owner"]:  # another process has its number already
        return
    remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        (folder / OWNER).write_text(identity(os.getpid()) or "")
        (folder / TEMPORARY).mkdir()
        guardian = guardian_of(plan, folder, owner_fd)
        guardian.stop(guardian.run())
    finally:
        end_children(timeout_s=2.0)
        shutil.rmtree(folder, ignore_errors=True)
    tell("ended")


def guardian_of(plan: Mapping[str, Any], folder: Path, owner_fd: int) -> Guardian:
    """The guardian of what is planned, with its files in this folder."""
    environment, logs = plan["environment"], Path(plan["logs"])

    def child(name: str, argv: list[str], **more: Any) -> Child:
        return Child(
            name=name,
            argv=argv,
            environment={**environment, **more.pop("environment", {})},
            log=logs / f"{name}.log",
            **more,
        )

    workers = [
        child(
            worker["name"],
            worker["argv"],
            environment=worker["environment"],
            delay_s=worker["delay_s"] or 0.0,
        )
        for worker in plan["workers"]
    ]
    late = [
        worker
        for worker, planned in zip(workers, plan["workers"], strict=True)
        if planned["delay_s"] is None
    ]
    provider_options = ""
    if plan["scales"]:
        own = folder / SUPERVISOR
        supervise = ["-P", "-m", "fixwurx_celery.providers.supervisor", str(own)]
        how = ["--grace", str(DRAIN_GRACE_S), "--log-format", plan["log_format"]]
        supervisor = child(SUPERVISOR, [sys.executable, *supervise, *how])
        workers.append(supervisor)
        options = folder / "provider.yaml"
        options.write_text(json.dumps({"supervisor": str(own)}))  # which is YAML too
        provider_options = str(options)
    return Guardian(
        store=child("store", [plan["server"], "-"]) if plan["server"] else None,
        workers=workers,
        late=late,
        owner_fd=owner_fd,
        own_state=Path(plan["own_state"]) if plan["own_state"] else None,
        port=free_port(),
        password=plan["password"],
        folder=folder,
        store_folder=Path(plan["store_folder"]),
        wakeup=Wakeup(),
        provider_options=provider_options,
    )


def remove_abandoned() -> None:
    """Removes the folders of guardians that were killed themselves."""
    for owner in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{OWNER}"):
        with contextlib.suppress(OSError):
            name = owner.read_text()
            if name and not is_alive(name):
                shutil.rmtree(owner.parent, ignore_errors=True)


def read_line(descriptor: int) -> bytes:
    """Bytes up to a newline, which is left out; none when the other end has gone before."""
    read = b""
    while not read.endswith(b"\n"):
        data = os.read(descriptor, 65536)
        if not data:
            return b""
        read += data
    return read


if __name__ == "__main__":
    main()
