"""The command as a user starts it, and everything that it may leave behind."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.support.surroundings import surroundings
from tests.support.waiting import wait_until

SCRIPTED = "tests.support.engines:Scripted"
GONE_WITHIN_S = 15.0


@dataclass(slots=True)
class Started:
    """A command that was started."""

    process: "subprocess.Popen[str]"
    desk: "Desk"

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """kill -9, of the command alone."""
        self.process.kill()
        self.process.communicate(timeout=10)

    def end(self, within_s: float = 60) -> "Ended":
        """How it ends, which it must in this time."""
        out, err = self.process.communicate(timeout=within_s)
        return Ended(self.process.returncode, out, err)


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command said, and its status."""

    status: int
    out: str
    err: str


@dataclass(slots=True)
class Desk:
    """A user's working folder. All processes started from it carry its mark in their environment,
    and its temporary folder is empty when nothing is left of them."""

    folder: Path
    temporary: Path
    mark: str = field(default_factory=lambda: f"desk-{uuid.uuid4().hex}")
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def command(self, *arguments: str) -> list[str]:
        """The command line of ours with these arguments."""
        return [
            sys.executable, "-c", "from fixwurx_celery.cli import main; main()", *arguments
        ]  # fmt: skip

    def variables(self, **environment: str) -> dict[str, str]:
        """What a command of ours has in its environment."""
        defaults = {"FIXWURX_TOTAL_AGENTS": "3", "FIXWURX_NODES": "1"}
        return self._variables(**defaults | self.environment | environment)

    def _variables(self, **environment: str) -> dict[str, str]:
        own = {
            "TMPDIR": str(self.temporary),
            "DESK_MARK": self.mark,
            "FIXWURX_STATE_DIR": str(self.state),
            "FIXWURX_ENGINE": SCRIPTED,
        }
        return surroundings(**own | self.environment | environment)

    def start(self, *arguments: str, **environment: str) -> Started:
        return self._start(self.command(*arguments), self.variables(**environment))

    def start_python(self, *arguments: str, **environment: str) -> Started:
        """A program of the user's, as Python is told to run it."""
        return self._start([sys.executable, *arguments], self._variables(**environment))

    def _start(self, line: list[str], environment: dict[str, str]) -> Started:
        process = subprocess.Popen(
            line,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return Started(process, self)

    def run(self, *arguments: str, within_s: float = 60, **environment: str) -> Ended:
        return self.start(*arguments, **environment).end(within_s)

    def bugs(self, *bugs: dict[str, Any]) -> str:
        """The name of a manifest of these bugs, an agent each unless they say more."""
        lines = [json.dumps({"agents": 1, **bug}) + "\n" for bug in bugs]
        (self.folder / "bugs.jsonl").write_text("".join(lines))
        return "bugs.jsonl"

    def results(self) -> list[dict[str, Any]]:
        """The lines of results.jsonl, each of which must be JSON."""
        path = self.out / "results.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def outcomes(self) -> dict[str, str]:
        """The last outcome of each bug."""
        return {line["id"]: line["outcome"] for line in self.results()}

    # -- what is left --------------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """The living processes that come from here."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                # The store writes its title over its environment; it is known by its folder.
                is_marked = process.environ().get("DESK_MARK") == self.mark
                if is_marked or Path(process.cwd()).is_relative_to(self.folder):
                    found.append(process)
        return found

    def commands(self) -> list[str]:
        """What these processes are, for a message."""
        lines = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                lines.append(f"{process.pid}: {' '.join(process.cmdline())[:120]}")
        return lines

    def named(self, part: str) -> list[psutil.Process]:
        """Those with this in their command line, parents before their forks."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if part in " ".join(process.cmdline()):
                    found.append(process)
        return sorted(found, key=lambda process: process.pid)

    def port(self) -> int:
        """The port of the embedded store, once it is there."""

        def look() -> int:
            for process in self.named("valkey-server"):
                with contextlib.suppress(psutil.Error):
                    for connection in process.net_connections():
                        if connection.status == psutil.CONN_LISTEN:
                            return int(connection.laddr.port)
            return 0

        return wait_until("the embedded store listens", look, within_s=20)

    def check_nothing_is_left(self, port: int | None = None) -> None:
        """No process, port or temporary file within the promised time."""
        try:
            wait_until("all are gone", lambda: not self.processes(), within_s=GONE_WITHIN_S)
        except AssertionError:
            assert not self.commands(), f"alive: {self.commands()}"
        left = sorted(str(path) for path in self.temporary.rglob("*"))
        assert not left, f"left in {self.temporary}: {left}"
        if port is not None:
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0


@contextlib.contextmanager
def desk(folder: Path) -> Iterator[Desk]:
    """A desk that is clean at the end, whatever the test did."""
    # Short, because tests run by an engine open sockets below it.
    with tempfile.TemporaryDirectory(prefix="d", dir="/tmp", ignore_cleanup_errors=True) as temp:
        made = Desk(folder, Path(temp))
        try:
            yield made
        finally:
            for process in made.processes():
                with contextlib.suppress(psutil.Error):
                    process.kill()
