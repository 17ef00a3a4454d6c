"""The processes of a cluster as an operator's supervisor keeps them: what ends is started again."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from fixwurx_celery.settings import Settings
from tests.support.server import Server
from tests.support.surroundings import environment
from tests.support.waiting import wait_until

__all__ = ["Fleet", "Supervised"]

RESTART_AFTER_S = 0.5


@dataclass(slots=True)
class Supervised:
    """One service: a command that is to run."""

    name: str
    kind: str  # node | controller | beat
    command: Sequence[str]
    folder: Path
    environment: dict[str, str]
    is_wanted: bool = True
    starts: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    ended_at: float = 0.0
    statuses: list[int] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """From the main thread: it dies with the thread that started it."""
        self.starts += 1
        with self.log.open("ab") as output:
            output.write(f"---- start {self.starts} of {self.name}\n".encode())
            output.flush()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", *self.command],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )

    def look_after(self, now: float) -> None:
        """Notes its end, and starts it again a moment later."""
        if self.process is not None and self.process.poll() is not None:
            self.statuses.append(self.process.returncode)
            self.process, self.ended_at = None, now
        if self.process is None and self.is_wanted and now - self.ended_at >= RESTART_AFTER_S:
            self.start()

    # -- its processes ---------------------------------------------------------------------

    def main(self) -> list[psutil.Process]:
        """Its main process, if it lives."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return [psutil.Process(self.pid)] if self.is_running else []
        return []

    def pool(self) -> list[psutil.Process]:
        """Its pool processes."""
        return [child for child in _below(self.main()) if _session(child) == self.pid]

    def warden(self) -> list[psutil.Process]:
        """The process that clears up after it."""
        return [child for child in _below(self.main()) if "warden.py" in _command(child)]

    def hosts(self) -> list[psutil.Process]:
        """Its engine hosts: below the pool, and forks of the node as the pool is."""
        named = [_command(main) for main in self.main()]
        return [host for host in _below(self.pool()) if _command(host) in named]

    def children(self) -> list[psutil.Process]:
        """What its engines started."""
        return [process for host in self.hosts() for process in _offspring(host)]

    def whole(self) -> list[psutil.Process]:
        """All of its own processes, the warden first; not what engines started."""
        return [*self.warden(), *self.main(), *self.pool(), *self.hosts()]


class Fleet:
    """A store, nodes, controllers and beats, all of them supervised. For one thread."""

    def __init__(self, settings: Settings, server: Server, folder: Path) -> None:
        self.settings, self.server, self.folder = settings, server, folder
        self.mark = f"chaos-{uuid.uuid4().hex}"
        self.services: list[Supervised] = []
        self.environment = environment(settings, CHAOS_MARK=self.mark)

    def add_node(self) -> Supervised:
        """One more node, under a name that was never used."""
        name = f"n{sum(service.kind == 'node' for service in self.services)}@chaos"
        return self._add(name, "node", ["-A", "fixwurx_celery", "worker", "-n", name])

    def add_controller(self) -> Supervised:
        """One more controller."""
        name = f"c{len(self.of('controller'))}@chaos"
        return self._add(
            name, "controller", ["-A", "fixwurx_celery.controller", "worker", "-n", name]
        )

    def add_beat(self) -> Supervised:
        """One more beat, with a schedule file of its own."""
        name = f"beat{len(self.of('beat'))}"
        schedule = ["-s", str(self.folder / f"{name}.schedule")]
        return self._add(name, "beat", ["-A", "fixwurx_celery.controller", "beat", *schedule])

    def _add(self, name: str, kind: str, command: list[str]) -> Supervised:
        service = Supervised(
            name, kind, [*command, "--loglevel", "INFO"], self.folder, self.environment
        )
        self.services.append(service)
        service.start()
        return service

    def of(self, kind: str) -> list[Supervised]:
        """The services of that kind that are to run."""
        return [s for s in self.services if s.kind == kind and s.is_wanted]

    def look_after(self) -> None:
        """Starts what has ended. To be called several times a second."""
        now = time.monotonic()
        for service in self.services:
            service.look_after(now)

    def wait(self, what: str, look: Callable[[], bool], *, within_s: float) -> None:
        """As `wait_until`, while the fleet is looked after."""

        def look_meanwhile() -> bool:
            self.look_after()
            time.sleep(0.05)
            return look()

        wait_until(what, look_meanwhile, within_s=within_s)

    def stop(self, *kinds: str, within_s: float) -> dict[str, int]:
        """SIGTERM to all services of these kinds; the exit status of each.

        Fails when one does not end in that time.
        """
        running = [s for s in self.services if s.kind in kinds and s.is_running]
        for service in running:
            service.is_wanted = False
            os.kill(service.pid, signal.SIGTERM)
        names = ", ".join(service.name for service in running)
        wait_until(
            f"{names} end after SIGTERM",
            lambda: not any(s.is_running for s in running),
            within_s=within_s,
        )
        return {s.name: s.process.returncode for s in running if s.process}

    def processes(self) -> list[psutil.Process]:
        """Everything alive that comes from here, except the store: by its mark, or its folder."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                    continue
                if self.server.process and process.pid == self.server.process.pid:
                    continue
                if process.environ().get("CHAOS_MARK") == self.mark or Path(
                    process.cwd()
                ).is_relative_to(self.folder):
                    found.append(process)
        return found

    def end(self) -> None:
        """Kills whatever is left, however it is."""
        for service in self.services:
            service.is_wanted = False
        for _ in range(3):
            for process in self.processes():
                with contextlib.suppress(psutil.Error):
                    process.kill()
        for service in self.services:
            if service.process is not None:
                service.process.wait(timeout=10)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _below(processes: Sequence[psutil.Process]) -> Iterator[psutil.Process]:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            yield from process.children()


def _offspring(process: psutil.Process) -> Iterator[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        yield from process.children(recursive=True)


def _session(process: psutil.Process) -> int:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(process.pid)
    return 0


def _command(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
