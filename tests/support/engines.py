"""Engines for tests of nodes. Each does what its payload says, with real processes."""

import json
import os
import signal
import subprocess
import sys
import time
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
            hold = (
                "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
                "time.sleep(600)"
            )
            for own_session in (False, True):
                subprocess.Popen(
                    [sys.executable, "-c", hold, step["children"]], start_new_session=own_session
                )
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
