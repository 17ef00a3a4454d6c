"""Runs one command and leaves nothing of it behind. A script, started by `process.py`.

    python -I -S supervise.py CONTROL_FD SPEC_JSON

It imports nothing of the package but its neighbours, so that it starts in a few milliseconds. It is
the subreaper of all that the command starts, so a grandchild that detached itself (own session,
double fork) is still its descendant and is found. It ends the command when its time is up, when it
has used more than it may, when the host writes to or closes the control socket, or when the host is
gone; whatever then still lives is killed. The command has a process group of its own, so that
`kill 0` in a test cannot reach the host, and the supervisor has another, so that killing the host's
group cannot take the supervisor first.

A sandbox stands between it and the command: it is outside of that, and nothing inside can reach it.

On the control socket it writes one line when the command has started and one when all is over.
"""

import collections
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any

sys.path.append(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120

import usage  # type: ignore[import-not-found]

STATUS_FD = 3  # of the sandbox: where it says how the command ended
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
OWN_END_S = 0.2  # what a leftover gets to end by itself: a resource tracker needs a few ms
LOOK_EVERY_S = 1.0  # at what the command uses; and never for more than a fiftieth of the time
KILL_LIMIT_S = 5.0  # a process in uninterruptible sleep must not hold the host for ever


class Output:
    """Keeps the first and the last half of what is written to it, never more."""

    def __init__(self, path: str, keep: int) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self.half = keep // 2
        self.total = self.held = 0
        self.tail: collections.deque[bytes] = collections.deque()

    def add(self, chunk: bytes) -> None:
        """Write what belongs to the head, remember the rest as long as it is the tail."""
        room = max(self.half - self.total, 0)
        self.total += len(chunk)
        if room:
            os.write(self.file, chunk[:room])
        if chunk[room:]:
            self.tail.append(chunk[room:])
            self.held += len(self.tail[-1])
        while self.tail and self.held - len(self.tail[0]) >= self.half:
            self.held -= len(self.tail.popleft())

    def close(self) -> None:
        """Append the tail, with a line that says what is missing."""
        missing = self.total - self.held - min(self.total, self.half)
        if missing > 0:
            os.write(self.file, b"\n... %d bytes left out ...\n" % missing)
        os.write(self.file, b"".join(self.tail))
        os.close(self.file)


class Supervisor:
    """One command, from its start until nothing of it is left."""

    def __init__(self, control: int, spec: dict[str, Any]) -> None:
        self.control = control
        self.spec = spec
        self.parent = os.getppid()
        self.output = Output(spec["output"], spec["keep_bytes"])
        self.status: int | None = None
        self.why = "exit"
        self.started = time.monotonic()
        self.look_at = self.started + LOOK_EVERY_S
        self.groups: list[str] = []
        if spec["limits"]:
            self.free_at_start = usage.free_bytes(spec["writes"][0])
        self.pipe, write_end = os.pipe()
        self.status_pipe, status_end = os.pipe()
        os.set_blocking(self.pipe, False)
        self.child = self._start(write_end, status_end)
        os.close(write_end)
        os.close(status_end)
        if spec["has_pipes"]:  # whoever reads them is to see the command close them
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, 0)
            os.dup2(nothing, 1)

    def _start(self, write_end: int, status_end: int) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                os.setpgid(0, 0)
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                for number in IGNORED:
                    signal.signal(number, signal.SIG_DFL)
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                if not self.spec["has_pipes"]:
                    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                    os.dup2(write_end, 1)
                os.dup2(write_end, 2)
                if self.spec["sandboxed"]:
                    os.dup2(status_end, STATUS_FD)
                    os.set_inheritable(STATUS_FD, True)
                os.chdir(self.spec["cwd"])
                argv = self.spec["argv"]
                os.execvp(argv[0], argv)  # noqa: S606 - the command comes as an argument list
            except OSError as problem:
                os.write(2, f"cannot start {self.spec['argv'][0]}: {problem.strerror}\n".encode())
            finally:
                os._exit(127)
        return pid

    def report(self, **fields: object) -> None:
        """Tell the host; a host that is gone is no reason to stop cleaning up."""
        try:
            os.write(self.control, json.dumps(fields).encode() + b"\n")
        except OSError:
            self.why = "orphaned"

    def reap(self) -> bool:
        """Collect what has died; True while anything is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.child:
                self.status = os.waitstatus_to_exitcode(status)

    def drain(self) -> None:
        """Take what output there is now."""
        try:
            while chunk := os.read(self.pipe, 1 << 16):
                self.output.add(chunk)
        except BlockingIOError:
            return

    def watch(self) -> None:
        """Wait until the command ends or has to be ended, and say why in `why`."""
        limit = self.spec["timeout_s"]
        child = os.pidfd_open(self.child)
        poller = select.poll()
        for source in (child, self.control, self.pipe):
            poller.register(source, select.POLLIN)
        while True:
            elapsed = time.monotonic() - self.started
            if limit is not None and elapsed >= limit:
                self.why = "timeout"
                return
            if os.getppid() != self.parent:
                self.why = "orphaned"
                return
            if self.has_too_much():
                self.why = "overrun"
                return
            rest = 1.0 if limit is None else min(1.0, limit - elapsed)
            ready = dict(poller.poll(rest * 1000 + 1))
            if self.pipe in ready:
                chunk = os.read(self.pipe, 1 << 16)
                self.output.add(chunk)
                if not chunk:
                    poller.unregister(self.pipe)
            if self.control in ready:
                self.why = "asked" if self.asked() else "orphaned"
                return
            if child in ready:
                return

    def has_too_much(self) -> bool:
        """Whether the command has used up what it may use; then its output says so."""
        if not self.spec["limits"] or (began := time.monotonic()) < self.look_at:
            return False
        spec = self.spec
        if not self.groups:  # not at its start: a move costs 10 ms, and most commands are short
            import cgroup  # type: ignore[import-not-found]

            self.groups = cgroup.make(spec["limits"]["memory"], spec["limits"]["processes"])
            cgroup.enter(self.groups, lambda: usage.below(os.getpid()))
        what = usage.too_much(os.getpid(), spec["limits"], spec["writes"], self.free_at_start)
        ended = time.monotonic()
        self.look_at = ended + max(LOOK_EVERY_S, 50 * (ended - began))
        if what:
            limit_mb = spec["limits"][what] >> 20
            self.output.add(f"\n... ended: it used over {limit_mb} MB of {what} ...\n".encode())
        return bool(what)

    def asked(self) -> bool:
        """True when the host says to end; False when it is gone, maybe with our line unread."""
        try:
            return bool(os.read(self.control, 16))
        except ConnectionError:
            return False

    def wait_for_end(self, seconds: float) -> bool:
        """Reap and read for up to `seconds`; True when nothing is left."""
        until = time.monotonic() + seconds
        while self.reap():
            self.drain()
            if time.monotonic() >= until:
                return False
            time.sleep(0.001)
        return True

    def end(self) -> int:
        """End everything; return how many processes outlived the command itself."""
        if self.why in ("timeout", "asked"):
            for pid in usage.below(os.getpid()):
                # What stands over a sandbox must live for the command to have its last words.
                if pid != self.child or not self.spec["sandboxed"]:
                    self.signal(pid, self.spec["stop_signal"])
            if self.wait_for_end(self.spec["grace_s"]):
                return 0
        elif self.why == "exit" and self.wait_for_end(OWN_END_S):
            return 0
        left: set[int] = set()
        until = time.monotonic() + KILL_LIMIT_S
        while self.reap() and time.monotonic() < until:
            for pid in usage.below(os.getpid()):
                left.add(pid)
                self.signal(pid, signal.SIGKILL)
            self.wait_for_end(0.01)
        return len(left)

    def has_begun(self) -> bool:
        """Whether the sandbox, if there is one, was built, so that it is the command that ended."""
        if not self.spec["sandboxed"]:
            return True
        with open(self.status_pipe, "rb") as said:  # noqa: PTH123 - pathlib is not loaded
            return b'"exit-code"' in said.read()

    @staticmethod
    def signal(pid: int, number: int) -> None:
        """Send, unless it is gone or not ours to signal."""
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            return

    def run(self) -> None:
        """The whole life."""
        self.report(started=self.child)
        try:
            self.watch()
        finally:  # whatever went wrong here, nothing is left behind
            seconds = time.monotonic() - self.started
            left = self.end()
            if self.groups:
                import cgroup

                cgroup.remove(self.groups)
        if self.why == "exit" and not self.has_begun():
            self.why = "unconfined"
        self.drain()
        self.output.close()
        self.report(status=self.status, why=self.why, seconds=round(seconds, 4), left=left)


def main() -> None:
    """Entry: become a subreaper that only the control socket can stop, then run."""
    control = int(sys.argv[1])
    os.set_inheritable(control, False)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    Supervisor(control, json.loads(sys.argv[2])).run()


if __name__ == "__main__":
    main()
