"""The engine of the chaos suite: a chain of digests with a known end, however often it is moved.

Each step hashes on from the digest before, some of it in a child process. A run that starts from a
checkpoint which is not the bug's own, or in a workspace that is not empty, cannot come to the known
answer. Runs leave a trace outside of the workspace and hold a lock for as long as they live: two
live runs of one bug are seen on the processes' side, whatever the store believes.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

ROUNDS = 500
"""Of hashing, a step."""

HASH = (
    "import hashlib, sys\n"
    "digest = sys.argv[1].encode()\n"
    f"for _ in range({ROUNDS}): digest = hashlib.sha256(digest).hexdigest().encode()\n"
    "sys.stdin.readline()\n"
    "print(digest.decode())\n"
)
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"
DAEMON = (
    "import os, time\n"
    "if os.fork(): os._exit(0)\n"
    "os.setsid()\n"
    "if os.fork(): os._exit(0)\n"
    "time.sleep(3600)\n"
)
CHILD = "chaos-child"
"""An argument of every child that a run leaves behind."""


def digest_of(bug_id: str, steps: int) -> str:
    """Where the chain of that bug ends."""
    digest = bug_id.encode()
    for _ in range(steps * ROUNDS):
        digest = hashlib.sha256(digest).hexdigest().encode()
    return digest.decode()


def process_state(pid: int) -> tuple[str, int]:
    """The kernel's letter for what the process does, and its parent; ('', 0) when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "", 0
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[1])


class Chain:
    """One run of one bug. What it does beside hashing, its payload says."""

    def __init__(self, bug: Any, workspace: Path, checkpoint: Any) -> None:
        if left := sorted(path.name for path in workspace.iterdir()):
            raise RuntimeError(f"the workspace of a new run holds {left}")
        self.bug, self.plan, self.workspace = bug, dict(bug.payload), workspace
        self.step, self.digest = checkpoint or (0, bug.id)
        self.phase = "STEP-1"  # no set-up to be counted apart
        self.run = uuid.uuid4().hex[:12]
        self.trace = Path(self.plan["trace"])
        (self.trace / f"{bug.id}.lock").touch()
        self.lock = (self.trace / f"{bug.id}.lock").open("r+b", buffering=0)
        self.is_locked = False
        self.note("start", keeper=os.getppid(), main=process_state(os.getppid())[1],
                  mark=os.environ.get("FIXWURX_MARK", ""), step=self.step)  # fmt: skip
        self.take_lock()

    def note(self, what: str, **more: Any) -> None:
        """A line of the bug's trace, written at once."""
        line = {"at": time.monotonic(), "what": what, "run": self.run, "pid": os.getpid(), **more}
        trace = os.open(self.trace / f"{self.bug.id}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(trace, json.dumps(line).encode() + b"\n")
        os.close(trace)

    def take_lock(self) -> None:
        """Takes the bug's lock. Where another run has it, says in which state that one is."""
        while not self.is_locked:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = self.holder()
                if holder is None:  # just ending
                    continue
                self.note("overlap", **holder)
                return
            os.pwrite(self.lock.fileno(), f"{os.getpid():<10}{self.run}".encode(), 0)
            self.is_locked = True

    def holder(self) -> dict[str, Any] | None:
        """The run that has the lock, with its keeper and its node's main process."""
        words = os.pread(self.lock.fileno(), 100, 0).decode().split()
        if len(words) != 2:
            return None
        pid = int(words[0])
        state, keeper = process_state(pid)
        if state in ("", "Z", "X"):
            return None
        keeper_state, main = process_state(keeper)
        states = state + keeper_state + process_state(main)[0]
        return {"holder": words[1], "pids": [pid, keeper, main], "states": states}

    def all_done(self) -> bool:
        """Whether the chain has come to its end."""
        return bool(self.step >= self.plan["steps"])

    def checkpoint(self) -> tuple[int, str]:
        """How far the chain has come."""
        return self.step, self.digest

    @property
    def outcome(self) -> dict[str, Any]:
        """The known answer, if all went well."""
        return {"outcome": "FIXED", "digest": self.digest}

    def execute_tick(self) -> None:
        """One step of the chain, and the misbehaviour that is due with it."""
        self.phase = f"STEP-{self.step + 1}"
        if not self.is_locked:
            self.take_lock()
        self.misbehave()
        (self.workspace / f"step-{self.step}").write_text(self.digest)
        self.digest = self.hashed()
        self.step += 1
        self.note("step", step=self.step)
        if self.all_done():
            self.note("end", step=self.step)
            self.lock.close()

    def hashed(self) -> str:
        """The digest after this step; by a child that is held up for the step's time. A child that
        is killed is replaced."""
        if self.plan["pace_s"] == 0:
            return hashed_here(self.digest)
        while True:
            with subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", HASH, self.digest],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as child:
                time.sleep(self.plan["pace_s"])  # as a repository's tests would hold it up
                with contextlib.suppress(BrokenPipeError):
                    out, _ = child.communicate("go on\n")
            if child.returncode == 0:
                return out.strip()
            self.note("child died", status=child.returncode)

    def misbehave(self) -> None:
        """Leaves children behind, raises, hangs, or kills its own process."""
        if self.step != self.plan.get("at_step", 0):
            return
        match self.plan.get("manner"):
            case "stubborn":
                for own_session in (False, True):
                    self.leave(STUBBORN, start_new_session=own_session)
            case "daemon":
                self.leave(DAEMON)
            case "raise":
                raise RuntimeError("no such tree")
            case "hang":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                while True:
                    time.sleep(3600)
            case "crash" if self.may_crash():
                self.leave(STUBBORN, start_new_session=True)
                self.note("crash")
                if self.plan.get("by_signal"):
                    os.kill(os.getpid(), signal.SIGKILL)
                os._exit(3)

    def leave(self, program: str, **options: Any) -> None:
        """Starts a child that nobody waits for."""
        subprocess.Popen([sys.executable, "-I", "-S", "-c", program, CHILD, self.bug.id], **options)

    def may_crash(self) -> bool:
        """Whether a crash is left. They are counted outside, because the process forgets them."""
        for number in range(self.plan["crashes"]):
            try:
                (self.trace / f"{self.bug.id}.crash-{number}").touch(exist_ok=False)
            except FileExistsError:
                continue
            return True
        return False


def hashed_here(digest: str) -> str:
    """One step of the chain in this process."""
    data = digest.encode()
    for _ in range(ROUNDS):
        data = hashlib.sha256(data).hexdigest().encode()
    return data.decode()


class Nothing:
    """A bug that is done as soon as it runs."""

    def __init__(self, bug: Any, workspace: Path, checkpoint: Any) -> None:
        self.outcome: dict[str, Any] | None = None

    def all_done(self) -> bool:
        return self.outcome is not None

    def execute_tick(self) -> None:
        self.outcome = {"outcome": "FIXED"}
