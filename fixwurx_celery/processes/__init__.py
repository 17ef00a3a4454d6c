"""Ending processes for certain: groups, sessions, and whatever tried to leave them.

Linux only: a process that is a *subreaper* inherits every orphan among its descendants, so that
"it has no children" means "nothing below it is alive".
"""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

__all__ = [
    "die_with_parent",
    "end_all_children",
    "end_descendants",
    "has_children",
    "identity",
    "inherit_orphans",
    "is_alive",
    "is_running",
    "is_stopped",
]

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36

_libc = ctypes.CDLL(None, use_errno=True)


def inherit_orphans() -> None:
    """Makes this process the parent of every descendant whose own parent dies."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when the thread that forked it ends."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the call
        os._exit(1)


def _stat(pid: int | str) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on (index 0), or None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def _pids() -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def identity(pid: int) -> str | None:
    """`PID-STARTTIME`: names one process even when its number is used again."""
    stat = _stat(pid)
    return f"{pid}-{stat[19]}" if stat else None


def is_alive(name: str) -> bool:
    """Whether the process of this identity runs (a zombie does not)."""
    pid = int(name.partition("-")[0])
    stat = _stat(pid)
    return stat is not None and stat[0] != "Z" and f"{pid}-{stat[19]}" == name


def is_stopped(pid: int) -> bool:
    """Whether a signal or a debugger has stopped the process."""
    stat = _stat(pid)
    return stat is not None and stat[0] in "Tt"


def has_children() -> bool:
    """Whether this process has any child, zombies that it can reap at once not counted."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    stat = _stat(pid)
    return stat is not None and stat[0] != "Z"


def end_all_children(timeout_s: float = 5.0) -> bool:
    """Kills and reaps every child, and what thereby becomes one; whether none is left."""
    me, deadline = str(os.getpid()), time.monotonic() + timeout_s
    while has_children() and time.monotonic() < deadline:
        for pid in _pids():
            if (stat := _stat(pid)) is not None and stat[1] == me:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    return not has_children()


def end_descendants(*, spare: Collection[int] = (), timeout_s: float = 5.0) -> bool:
    """Kills and reaps all descendants that left this process's session; whether none is left.

    Engines run in sessions of their own, pool processes in the node's: so the latter are spared,
    also one that is being forked right now. The caller is a subreaper: what loses its parent here
    becomes the caller's child and is killed in the next round. What the kernel will not let die
    (state D) outlasts the time-out.
    """
    me, session = os.getpid(), str(os.getsid(0))
    deadline = time.monotonic() + timeout_s
    while True:
        strays = [
            pid
            for pid in _pids()
            if pid not in spare
            and (stat := _stat(pid)) is not None
            and int(stat[1]) == me
            and stat[3] != session
        ]
        if not strays:
            return True
        for pid in strays:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)
            except (ProcessLookupError, ChildProcessError):
                continue
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
