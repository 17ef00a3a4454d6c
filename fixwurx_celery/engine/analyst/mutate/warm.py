"""Warm hosts: processes that run a mutated tree's tests for the price of a fork.

A host runs as any command of the repository does: in the sandbox, under a supervisor that ends it
with all that it started. What it says is not believed to be more than it is: one that breaks the
protocol is taken for dead. A host that dies takes at most the runs it had with it.
"""

import json
import os
import select
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fixwurx_celery.engine.analyst.mutate.command_line import PytestCommand
from fixwurx_celery.engine.analyst.mutate.runs import NOT_COPIED, Ran, Run
from fixwurx_celery.engine.process import Processes, Running

HOST_SCRIPT = Path(__file__).with_name("warm_host.py")
LEVELS = ("late", "early", "bare")
START_DEADLINE_S = 30.0  # importing pytest and a large conftest on a loaded machine
END_DEADLINE_S = 3.0  # a host kills what its run started; then it is killed itself
KEPT_BYTES = 1 << 16  # of what it says besides
QUEUED_PER_HOST = 2  # one running and one waiting, so that a host is not idle between steps
LONGEST_TMPDIR = 60  # a socket's path holds 107 bytes, and pytest adds 40 of its own
MEMORY_BYTES = 2 << 30  # what one run may add; an endless append ends here
LONGEST_REPLY = 64 << 20  # the trace of a large suite is a tenth of it


class Host:
    """One warm process and its private copy of the tree."""

    def __init__(
        self,
        home: Path,
        source: Path,
        command: PytestCommand,
        edited: Sequence[str],
        environment: Mapping[str, str],
        processes: Processes,
    ) -> None:
        self.home = home
        self.processes = processes
        self.command = command
        self.edited = edited
        self.waiting: dict[int, Any] = {}
        self.ready = False
        self.buffer = b""
        self.started = 0.0
        self.runs = 0
        self.running: Running | None = None
        self.requests = self.replies = -1
        self.root = home / "tree"
        self.temporary = home / "tmp"
        self.temporary.mkdir(parents=True)
        shutil.copytree(source, self.root, symlinks=True, ignore=NOT_COPIED)
        for folder in (self.root, self.temporary):
            processes.sandbox.give(folder)
        self.environment = {
            **environment,
            **command.environment,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if len(str(self.temporary)) <= LONGEST_TMPDIR:
            self.environment["TMPDIR"] = str(self.temporary)

    def start(self, level: str) -> None:
        """Start the process, or start it again at another level."""
        self.stop()
        command = self.command
        root = self.root.resolve()
        cwd = root / command.folder
        spec = {
            "root": str(root),
            "cwd": str(cwd),
            "cwd_on_path": command.cwd_on_path,
            "args": [
                *command.args,
                *("-p", "no:cacheprovider", "--assert=plain", "--maxfail=1000000"),
                *(() if "-s" in command.args else ("--capture=sys",)),
            ],
            "edited": list(self.edited),
            "level": level,
            "temporary": str(self.temporary),
            "memory": MEMORY_BYTES,
        }
        path = self.home / "spec.json"
        path.write_text(json.dumps(spec))
        self.ready = False
        self.buffer = b""
        self.started = time.monotonic()
        (read_requests, self.requests), (self.replies, write_replies) = os.pipe(), os.pipe()
        try:
            self.running = self.processes.start(
                [*command.python, str(HOST_SCRIPT), str(path)],
                cwd=cwd,
                env=self.environment,
                output=self.home / "said",
                timeout_s=None,
                stop_signal=signal.SIGTERM,
                grace_s=END_DEADLINE_S,
                keep_bytes=KEPT_BYTES,
                writes=(self.root, self.temporary),
                reads=(path, HOST_SCRIPT.parent),
                pipes=(read_requests, write_replies),
            )
        finally:
            os.close(read_requests)
            os.close(write_replies)

    def stop(self) -> None:
        """End the process; its children die with it."""
        if self.running is None:
            return
        self.running.end()
        os.close(self.requests)
        os.close(self.replies)
        self.running = None
        self.ready = False

    def fileno(self) -> int:
        """Return the descriptor that replies arrive on."""
        return self.replies if self.running is not None else -1

    def send(self, **fields: Any) -> bool:
        """Send one request; False when the process is gone."""
        if self.running is None:
            return False
        data = json.dumps(fields).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self.requests, data) :]
        except OSError:
            return False
        return True

    def receive(self) -> list[dict[str, Any]]:
        """Return the replies that are there; a dead process says `gone`, one that breaks the
        protocol `wild`."""
        chunk = os.read(self.fileno(), 1 << 20)
        if not chunk:
            return [{"event": "gone"}]
        *lines, self.buffer = (self.buffer + chunk).split(b"\n")
        try:
            if len(self.buffer) > LONGEST_REPLY:
                raise ValueError("a reply without end")
            return [self._understood(json.loads(line)) for line in lines]
        except (ValueError, KeyError, TypeError, RecursionError):
            return [{"event": "wild"}]

    def _understood(self, event: dict[str, Any]) -> dict[str, Any]:
        """The reply, checked as far as it can harm: whose answer it is, and what it is made of."""
        match event["event"]:
            case "done":
                if event["id"] not in self.waiting:
                    raise ValueError(event["id"])
                return event | {
                    "late": bool(event["late"]),
                    "seconds": float(event["seconds"]),
                    "says": [dict(say) for say in event["says"]],
                }
            case "refused":
                return event | {"code": int(event["code"])}
            case "ready" | "shared":
                return event
        raise ValueError(event["event"])


class Pool:
    """Up to `count` hosts that run what is submitted, in any order.

    `refused` is the reason why this command cannot be run warm, or empty.
    """

    def __init__(
        self,
        *,
        source: Path,
        scratch: Path,
        command: PytestCommand,
        edited: Sequence[str],
        environment: Mapping[str, str],
        count: int,
        log: Callable[[str], None],
        processes: Processes,
    ) -> None:
        self.refused = ""
        self.log = log
        self.level = LEVELS[0]
        self.preloaded: list[str] = []
        self.numbers = 0
        self.deaths = 0
        self.scratch = scratch
        self.make: Callable[[int], Host] = lambda index: Host(
            scratch / f"host{index}", source, command, edited, environment, processes
        )
        self.hosts = [self.make(0)]
        self.count = count
        self.hosts[0].start(self.level)

    @property
    def ready(self) -> bool:
        """Whether a host waits for work."""
        return any(host.ready for host in self.hosts)

    def grow(self) -> None:
        """Start the other hosts, once the first has shown which level works."""
        while len(self.hosts) < self.count:
            host = self.make(len(self.hosts))
            host.start(self.level)
            self.hosts.append(host)

    def room(self) -> int:
        """Return how many more runs may be submitted now."""
        return sum(QUEUED_PER_HOST - len(host.waiting) for host in self.hosts if host.ready)

    def submit(self, run: Run, tag: Any) -> None:
        """Give `run` to the host with the least to do; `poll` returns `tag` with its result."""
        ready = [host for host in self.hosts if host.ready]
        host = min(ready, key=lambda host: len(host.waiting))
        self.numbers += 1
        host.waiting[self.numbers] = (run, tag)
        host.runs += 1
        if host.runs == 1:  # leave bytecode of the tests behind, so that it is made once
            run = replace(run, write_bytecode=True)
        host.send(op="run", id=self.numbers, **{name: getattr(run, name) for name in run.__slots__})

    def preload(self, modules: Sequence[str]) -> None:
        """Have every host import `modules`, which all runs need and no edit touches."""
        self.preloaded = list(modules)
        for host in self.hosts:
            if host.ready:
                host.send(op="preload", modules=self.preloaded)

    def poll(self, timeout: float) -> list[tuple[Any, Ran]]:
        """Return the runs that ended, waiting up to `timeout` seconds for the first."""
        alive = [host for host in self.hosts if host.running is not None]
        done: list[tuple[Any, Ran]] = []
        if not alive:
            return done
        ready, _, _ = select.select(alive, [], [], max(0.0, timeout))
        for host in ready:
            for event in host.receive():
                self._take(host, event, done)
        for host in alive:
            if (
                host.running is not None
                and not host.ready
                and time.monotonic() - host.started > START_DEADLINE_S
            ):
                host.stop()
                self._retire(host, f"no answer from pytest within {START_DEADLINE_S:.0f} s")
        return done

    def _take(self, host: Host, event: dict[str, Any], done: list[tuple[Any, Ran]]) -> None:
        match event["event"]:
            case "ready":
                host.ready = True
                if self.preloaded:
                    host.send(op="preload", modules=self.preloaded)
            case "done":
                _, tag = host.waiting.pop(event["id"])
                says = event["says"]
                verdict = next((str(say["verdict"]) for say in says if "verdict" in say), "crash")
                done.append(
                    (
                        tag,
                        Ran(
                            verdict=verdict, late=event["late"], seconds=event["seconds"], says=says
                        ),
                    )
                )
            case "shared":
                following = LEVELS.index(self.level) + 1
                if following < len(LEVELS):
                    self.level = LEVELS[following]
                    self.log(f"mutate: files under edit are imported early, forking {self.level}")
                    host.start(self.level)
                else:
                    self._retire(host, "the files under edit are imported by python itself")
            case "refused":
                self._retire(host, f"pytest ended with exit status {event['code']}")
            case "wild":
                done += self._lost(host)
                self._retire(host, "tests write to where the warm host answers")
            case _:
                self._revive(host, done)

    @staticmethod
    def _lost(host: Host) -> list[tuple[Any, Ran]]:
        """The runs that the host had, which count as crashed."""
        lost = [tag for _, tag in host.waiting.values()]
        host.waiting.clear()
        return [(tag, Ran(verdict="crash", late=False, seconds=0.0, says=())) for tag in lost]

    def _revive(self, host: Host, done: list[tuple[Any, Ran]]) -> None:
        """Start a host that died again; the run it was at counts as crashed."""
        was_ready = host.ready
        done += self._lost(host)
        self.deaths += 1
        if not was_ready or self.deaths > 20:
            host.stop()
            self._retire(host, "the warm host died")
        else:
            host.start(self.level)

    def _retire(self, host: Host, reason: str) -> None:
        host.stop()
        if not any(other.running is not None for other in self.hosts):
            self.refused = reason

    def close(self) -> None:
        """End every host and remove what they wrote."""
        for host in self.hosts:
            host.stop()
            shutil.rmtree(host.home, ignore_errors=True)
