"""Commands of an attempt: bounded in time and output, and ended with all their children.

Each command runs under a small supervisor (`supervise.py`). Both stay in the session of the engine
host but in process groups of their own, so a command that signals its group cannot hit the host.
The outside kills an attempt by walking the host's descendants, which finds them whatever their
group; and when the host dies without being able to say so, each supervisor notices within a second
(at once as a rule: its control socket closes) and kills what is below it.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import TracebackType

from fixwurx_celery.engine.sandbox import UNCONFINED, Sandbox, SandboxError

STATUS_FD = 3  # as in `supervise.py`
KEEP_BYTES = 8 << 20  # of a command's output: the first and the last half of it
END_LIMIT_S = 8.0  # a supervisor gives up killing after 5 s; then it is killed itself
SUPERVISOR = Path(__file__).with_name("supervise.py")


class ProcessLostError(RuntimeError):
    """The supervisor of a command was killed, so how the command ended is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a command ended. `exit_status` is negative for a signal, also where a shell or a sandbox
    says so by 128 + n."""

    exit_status: int
    timed_out: bool
    seconds: float
    output: Path
    left: int = 0

    @property
    def passed(self) -> bool:
        """True when the command ended by itself with status 0."""
        return self.exit_status == 0 and not self.timed_out

    def text(self) -> str:
        """Everything kept of its output."""
        return self.output.read_bytes().decode(errors="replace")

    def tail(self, chars: int = 4000) -> str:
        """The end of its output."""
        return tail(self.output, chars)


def tail(file: Path, size: int) -> str:
    """The last `size` bytes of a file, as text."""
    with file.open("rb") as stream:
        whole = stream.seek(0, os.SEEK_END)
        stream.seek(max(whole - size, 0))
        return stream.read().decode(errors="replace")


def _signed(status: object) -> int:
    if not isinstance(status, int):
        return -signal.SIGKILL
    return 128 - status if 128 < status < 128 + signal.NSIG else status


class Running:
    """A command that was started; `wait` until it gives a `Finished`, or `end` it."""

    def __init__(self, supervisor: "subprocess.Popen[bytes]", host_end: socket.socket, out: Path):
        self._supervisor = supervisor
        self._host_end = host_end
        self._output = out
        self._received = b""
        self._finished: Finished | None = None
        self._closed = False

    def fileno(self) -> int:
        """A descriptor that is readable when `wait` has news; so one can wait for several."""
        return self._host_end.fileno()

    @property
    def supervisor_pid(self) -> int:
        """The process between this one and the command."""
        return self._supervisor.pid

    def wait(self, seconds: float = 0.0) -> Finished | None:
        """Return how it ended, or None when it still runs after `seconds`."""
        if self._finished is not None:
            return self._finished
        if self._closed:
            raise ProcessLostError(f"command of {self._output.name} was ended; it has no result")
        until = monotonic() + seconds
        while True:
            ready, _, _ = select.select([self._host_end], [], [], max(until - monotonic(), 0.0))
            if not ready:
                return None
            chunk = self._host_end.recv(4096)
            self._received += chunk
            if not chunk:
                return self._collect()

    def _reports(self) -> dict[str, object]:
        merged: dict[str, object] = {}
        for line in self._received.splitlines():
            merged.update(json.loads(line))
        return merged

    def _collect(self) -> Finished:
        self._supervisor.wait(END_LIMIT_S)
        self._close()
        report = self._reports()
        if "why" not in report:
            self._kill_group(report)
            raise ProcessLostError(
                f"supervisor of {self._output.name} ended with {self._supervisor.returncode}; "
                "run the bug again, with more memory if the kernel killed it"
            )
        if report["why"] == "unconfined":
            raise SandboxError(f"the sandbox could not be built: {tail(self._output, 300).strip()}")
        self._finished = Finished(
            exit_status=_signed(report["status"]),
            timed_out=report["why"] == "timeout",
            seconds=float(str(report["seconds"])),
            output=self._output,
            left=int(str(report["left"])),
        )
        return self._finished

    def _kill_group(self, report: Mapping[str, object]) -> None:
        started = report.get("started")
        if isinstance(started, int):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(started, signal.SIGKILL)

    def _close(self) -> None:
        self._closed = True
        self._host_end.close()

    def ask_to_end(self) -> None:
        """Begin to end it without waiting; `wait` or `end` sees it through."""
        if not self._closed:
            with suppress(OSError):
                self._host_end.send(b"end")

    def end(self) -> None:
        """End it and all its children now; harmless when it is over."""
        if self._closed:
            return
        self.ask_to_end()
        with suppress(ProcessLostError, OSError, subprocess.TimeoutExpired):
            self.wait(END_LIMIT_S)
        if self._supervisor.poll() is None:
            self._supervisor.kill()
            self._supervisor.wait()
            self._kill_group(self._reports())
        self._close()


class Processes:
    """All commands of one attempt; leaving it ends those that still run."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._running: list[Running] = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.end_all()

    def start(
        self,
        command: str | Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        output: Path,
        timeout_s: float | None,
        stop_signal: signal.Signals = signal.SIGABRT,
        grace_s: float = 0.5,
        keep_bytes: int = KEEP_BYTES,
        writes: Sequence[Path] = (),
        reads: Sequence[Path] = (),
        is_ours: bool = False,
        pipes: tuple[int, int] | None = None,
    ) -> Running:
        """Start `command` (a string goes to `sh -c`) with stdin empty and all output in `output`.

        It runs in the sandbox, where it may write to `writes` (`cwd`, when there are none) and read
        `reads` besides, unless `is_ours`: then nothing in it comes from a repository. With `pipes`
        these are its stdin and stdout, and only what it says on stderr is output.

        At `timeout_s` it gets `stop_signal`, `grace_s` later it is killed. The default signal makes
        a Python that runs with PYTHONFAULTHANDLER say in which lines it hung.
        """
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        sandbox = UNCONFINED if is_ours else self.sandbox
        writes = writes or (cwd,)
        spec = {
            "argv": sandbox.argv(
                argv,
                cwd=cwd,
                writes=writes,
                reads=reads,
                seconds=timeout_s,
                status_fd=STATUS_FD,
            ),
            "sandboxed": bool(sandbox),
            "writes": [str(path) for path in writes],
            "limits": sandbox.limits(),
            "cwd": str(cwd),
            "output": str(output),
            "timeout_s": timeout_s,
            "stop_signal": int(stop_signal),
            "grace_s": grace_s,
            "keep_bytes": keep_bytes,
            "has_pipes": pipes is not None,
        }
        stdin, stdout = pipes or (subprocess.DEVNULL, None)
        host_end, other_end = socket.socketpair()
        with other_end:
            fd = other_end.fileno()
            try:
                supervisor = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(SUPERVISOR), str(fd), json.dumps(spec)],
                    env=dict(env),
                    pass_fds=(fd,),
                    stdin=stdin,
                    stdout=stdout,
                    process_group=0,
                )
            except BaseException:
                host_end.close()
                raise
        running = Running(supervisor, host_end, output)
        self._running = [one for one in self._running if not one._closed]
        self._running.append(running)
        return running

    def end_all(self) -> None:
        """End every command that still runs, with its children."""
        for one in self._running:
            one.ask_to_end()
        for one in self._running:
            one.end()
        self._running.clear()


def environment(host: Mapping[str, str], *, scratch: Path, sandbox: Sandbox) -> dict[str, str]:
    """The environment of the commands of an attempt.

    The interpreter of the host comes first on PATH. Variables of the cluster (they hold
    passwords) and git's pointers to some other repository are left out. Temporary files go to
    `scratch`, unless its path is too long to hold a socket, or the sandbox has a /tmp of its own.
    """
    dropped = ("FIXWURX_", "CELERY_", "OTEL_", "GIT_", "COV_", "COVERAGE_", "PYTEST_")
    seen = sandbox.environment(host)
    env = {
        name: value
        for name, value in seen.items()
        if name in sandbox.names or not name.startswith(dropped)
    }
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), seen.get("PATH", os.defpath)])
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    env["PYTHONFAULTHANDLER"] = "1"
    env["GIT_CEILING_DIRECTORIES"] = str(scratch.parent)
    env["GIT_TERMINAL_PROMPT"] = "0"
    if not sandbox and len(str(scratch)) <= 60:  # a socket's path holds 107 bytes; pytest adds 40
        env["TMPDIR"] = str(scratch)
    return env
