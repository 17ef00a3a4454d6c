"""Engines for tests of nodes. Each does what its payload says, with real processes."""

import asyncio
import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from enum import Enum, auto
from pathlib import Path
from typing import Any

# Leaves its session and its parent, and is deaf to all that can be ignored.
DAEMON = """
import os, signal, sys, time
if os.fork():
    os._exit(0)
os.setsid()
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
time.sleep(600)
"""
FLOOD = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    print("x" * 9999)
"""


HOLD = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def leave_children(mark: str) -> None:
    """Starts two that ignore SIGTERM, one of them in a session of its own."""
    for own_session in (False, True):
        subprocess.Popen([sys.executable, "-c", HOLD, mark], start_new_session=own_session)


class Scripted:
    """Ticks through `steps` of the payload; its checkpoint is how many it has done.

    It has no phase until a step says one: `phase` as it begins, `then` as it ends. The payload's
    `phase` is the one before the first.
    """

    def __init__(self, bug: Any, workspace: Path, checkpoint: Any) -> None:
        self.bug, self.workspace = bug, workspace
        self.steps: list[dict[str, Any]] = list(bug.payload.get("steps", [{}]))
        self.done_before = int(checkpoint or 0)
        self.done = self.done_before
        self.phase = bug.payload.get("phase", "")

    def all_done(self) -> bool:
        return self.done >= len(self.steps)

    def checkpoint(self) -> int:
        return self.done

    @property
    def outcome(self) -> dict[str, Any]:
        return self.bug.payload.get("outcome", {"outcome": "FIXED"}) | {
            "steps": len(self.steps),
            "resumed_after": self.done_before,
        }

    def execute_tick(self) -> None:
        step = self.steps[self.done]
        self.phase = step.get("phase", self.phase)
        if "print" in step:
            print(step["print"])
        if "note" in step:  # outside of the workspace: seen by the test
            with Path(step["note"]).open("a") as file:
                file.write(json.dumps({"bug": self.bug.id, "step": self.done}) + "\n")
        if step.get("children"):
            leave_children(step["children"])
        if step.get("daemon"):
            subprocess.run([sys.executable, "-c", DAEMON, step["daemon"]], check=True)
        if step.get("flood"):
            subprocess.Popen([sys.executable, "-c", FLOOD, step["flood"]])
        if step.get("deaf"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if step.get("spin_s"):  # computes, and never lets another thread run for long
            until = time.monotonic() + step["spin_s"]
            while time.monotonic() < until:
                pass
        if step.get("sleep_s"):  # waits for something that the test decides to end
            time.sleep(step["sleep_s"])
        while "until" in step and not Path(step["until"]).exists():
            time.sleep(0.02)
        if "raise" in step:
            raise RuntimeError(step["raise"])
        if step.get("crash"):
            os._exit(3)
        self.phase = step.get("then", self.phase)
        self.done += 1


class TrianglePhase(Enum):
    """FixWurx's phases that a bug passes through here."""

    TRIAGE = auto()
    REPRO = auto()
    ANALYZE = auto()
    PATCH = auto()
    VERIFY = auto()
    DONE = auto()
    ESCALATE = auto()


TWENTY_TICKS = {"TRIAGE": 3, "REPRO": 4, "ANALYZE": 5, "PATCH": 5, "VERIFY": 3}


@dataclasses.dataclass(frozen=True)
class TriangleBug:
    """A bug as FixWurx's engine keeps it: a new object after each tick."""

    id: str
    phase: TrianglePhase
    timer: int


class Triangle:
    """An engine in the shape of FixWurx's: two methods, and one bug in `bugs`.

    It has `plan` ticks by phase (twenty). `timer` counts those done of the phase: no clock is
    asked for anything. A tick computes for `work_s` of processor time (none), and when it is done
    leaves a line in the file `ticks`: bug, phase, timer before it, pid, and the mark of the node.
    The bug ends in the phase `ends` (DONE). `hangs` names a phase that comes to no end, and
    `children` a mark of children that the first tick leaves.
    """

    def __init__(self, bug: Any) -> None:
        self.payload = bug.payload
        self.plan: dict[str, int] = dict(bug.payload.get("plan", TWENTY_TICKS))
        self.at_first = TriangleBug(bug.id, TrianglePhase[next(iter(self.plan))], 0)
        self.bugs = [self.at_first]

    def all_done(self) -> bool:
        return self.bugs[0].phase.name not in self.plan

    def execute_tick(self) -> Any:
        bug = self.bugs[0]
        if "children" in self.payload and bug == self.at_first:
            leave_children(self.payload["children"])
        while self.payload.get("hangs") == bug.phase.name:
            signal.pause()
        until_s = time.process_time() + self.payload.get("work_s", 0.0)
        digest = b""
        while time.process_time() < until_s:
            digest = hashlib.sha256(digest).digest()
        self.note(phase=bug.phase.name, timer=bug.timer)
        if bug.timer + 1 < self.plan[bug.phase.name]:
            self.bugs[0] = dataclasses.replace(bug, timer=bug.timer + 1)
        else:
            phases = [*self.plan, self.payload.get("ends", "DONE")]
            following = TrianglePhase[phases[phases.index(bug.phase.name) + 1]]
            self.bugs[0] = dataclasses.replace(bug, phase=following, timer=0)

    def note(self, **what: Any) -> None:
        """A line in the file, at once and whole, whoever else writes there."""
        if "ticks" not in self.payload:
            return
        who = {"bug": self.bugs[0].id, "pid": os.getpid(), "mark": os.environ.get("FIXWURX_MARK")}
        file = os.open(self.payload["ticks"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, json.dumps(who | what).encode() + b"\n")
        os.close(file)


class AsyncTriangle(Triangle):
    """Its tick is a coroutine, and what it works with is a task that lives from tick to tick."""

    def __init__(self, bug: Any) -> None:
        super().__init__(bug)
        self.orders: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()
        self.worker: asyncio.Task[None] | None = None

    async def execute_tick(self) -> None:
        if self.worker is None:
            self.worker = asyncio.create_task(self.work())
        done = asyncio.get_running_loop().create_future()
        await self.orders.put(done)
        await done

    async def work(self) -> None:
        while True:
            done = await self.orders.get()
            super().execute_tick()
            done.set_result(None)


class CancellableTriangle(Triangle):
    """Notes when it is told that it ends."""

    def cancel(self) -> None:
        self.note(cancelled=True)


TRIANGLES = {"plain": Triangle, "async": AsyncTriangle, "cancellable": CancellableTriangle}


def triangle(bug: Any) -> Triangle:
    """A factory that takes the bug alone; `kind` of the payload says which."""
    return TRIANGLES[bug.payload.get("kind", "plain")](bug)


def takes_nothing() -> Triangle:
    """No factory."""
    raise AssertionError("it was called")
