"""All children of a process that inherits orphans: whatever it started, and whatever that left."""

import contextlib
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

__all__ = ["end_children", "living_children"]


def living_children() -> set[int]:
    """The children of this process, zombies not counted."""
    me, found = str(os.getpid()), set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError):
            stat = (entry / "stat").read_text("utf-8", "replace")
            state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
            if parent == me and state != "Z":
                found.add(int(entry.name))
    return found


def end_children(*, spare: Collection[int] = (), timeout_s: float) -> bool:
    """Kills the children until none but `spare` is left, and whether that came to be.

    The children of each one killed become ours, if this process inherits orphans, and go in the
    next round. What the kernel will not let die outlasts the time-out.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        mine = living_children().difference(spare)
        if not mine or time.monotonic() > deadline:
            return not mine
        for pid in mine:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
