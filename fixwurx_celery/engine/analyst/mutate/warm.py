"""Warm hosts: processes that run a mutated tree's tests for the price of a fork.

A host never outlives its owner (the kernel kills it with its parent), and everything it writes
lies under the folder it was given. A host that dies takes at most the runs it had with it.
"""

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fixwurx_celery.engine.analyst.mutate.command_line import PytestCommand
from fixwurx_celery.engine.analyst.mutate.runs import NOT_COPIED, Ran, Run

HOST_SCRIPT = Path(__file__).with_name("warm_host.py")
LEVELS = ("late", "early", "bare")
START_DEADLINE_S = 30.0  # importing pytest and a large conftest on a loaded machine
END_DEADLINE_S = 3.0  # a host kills what its run started; then it is killed itself
QUEUED_PER_HOST = 2  # one running and one waiting, so that a host is not idle between steps
LONGEST_TMPDIR = 60  # a socket's path holds 107 bytes, and pytest adds 40 of its own
MEMORY_BYTES = 2 << 30  # what one run may add; an endless append ends here


class Host:
    """One warm process and its private copy of the tree."""

    def __init__(
        self,
        home: Path,
        source: Path,
        command: PytestCommand,
        edited: Sequence[str],
        environment: Mapping[str, str],
    ) -> None:
        self.home = home
        self.command = command
        self.edited = edited
        self.waiting: dict[int, Any] = {}
        self.ready = False
        self.buffer = b""
        self.started = 0.0
        self.runs = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.root = home / "tree"
        self.temporary = home / "tmp"
        self.temporary.mkdir(parents=True)
        shutil.copytree(source, self.root, symlinks=True, ignore=NOT_COPIED)
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
            "parent": os.getpid(),
            "memory": MEMORY_BYTES,
        }
        path = self.home / "spec.json"
        path.write_text(json.dumps(spec))
        self.ready = False
        self.buffer = b""
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [*command.python, str(HOST_SCRIPT), str(path)],
            cwd=cwd,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        """End the process; its children die with it."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(END_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        self.process = None
        self.ready = False

    def fileno(self) -> int:
        """Return the descriptor that replies arrive on."""
        if self.process is None or self.process.stdout is None:
            return -1
        return self.process.stdout.fileno()

    def send(self, **fields: Any) -> bool:
        """Send one request; False when the process is gone."""
        if self.process is None or self.process.stdin is None:
            return False
        try:
            self.process.stdin.write(json.dumps(fields).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            return False
        return True

    def receive(self) -> list[dict[str, Any]]:
        """Return the replies that are there; a dead process says `gone`."""
        chunk = os.read(self.fileno(), 1 << 20)
        if not chunk:
            return [{"event": "gone"}]
        *lines, self.buffer = (self.buffer + chunk).split(b"\n")
        return [json.loads(line) for line in lines]


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
    ) -> None:
        self.refused = ""
        self.log = log
        self.level = LEVELS[0]
        self.preloaded: list[str] = []
        self.numbers = 0
        self.deaths = 0
        self.scratch = scratch
        self.make: Callable[[int], Host] = lambda index: Host(
            scratch / f"host{index}", source, command, edited, environment
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
        alive = [host for host in self.hosts if host.process is not None]
        done: list[tuple[Any, Ran]] = []
        if not alive:
            return done
        ready, _, _ = select.select(alive, [], [], max(0.0, timeout))
        for host in ready:
            for event in host.receive():
                self._take(host, event, done)
        for host in alive:
            if (
                host.process is not None
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
            case _:
                self._revive(host, done)

    def _revive(self, host: Host, done: list[tuple[Any, Ran]]) -> None:
        """Start a host that died again; the run it was at counts as crashed."""
        was_ready = host.ready
        lost = list(host.waiting.values())
        host.waiting.clear()
        self.deaths += 1
        if not was_ready or self.deaths > 20:
            host.stop()
            self._retire(host, "the warm host died")
        else:
            host.start(self.level)
        for _, tag in lost:
            done.append((tag, Ran(verdict="crash", late=False, seconds=0.0, says=())))

    def _retire(self, host: Host, reason: str) -> None:
        host.stop()
        if not any(other.process is not None for other in self.hosts):
            self.refused = reason

    def close(self) -> None:
        """End every host and remove what they wrote."""
        for host in self.hosts:
            host.stop()
            shutil.rmtree(host.home, ignore_errors=True)
