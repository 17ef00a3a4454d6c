"""Outlives the node for a moment: ends what the node's death left running, and clears its folder.

Run by the node as `python warden.py RUN_DIR NODE_PID`. The node's processes die with it; what their
bugs had started does not. Standard library only, so that it costs a few megabytes.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
import time

QUIET_ROUNDS = 3


def sessions(run_dir: str) -> set[int]:
    """The sessions of engines that the node had under way, named by files in its folder."""
    names = os.listdir(run_dir) if os.path.isdir(run_dir) else []  # noqa: PTH112, PTH208
    return {int(name[8:]) for name in names if name.startswith("session-")}


def strays(run_dir: str, known: set[int]) -> list[int]:
    """Living processes of those sessions, or with this node's mark in their environment."""
    mark = b"FIXWURX_MARK=" + os.fsencode(run_dir) + b"\0"
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                stat = file.read().rpartition(b")")[2].split()
            if stat[0] == b"Z":
                continue
            if int(stat[3]) in known:
                found.append(int(name))
                continue
            with open(f"/proc/{name}/environ", "rb") as file:  # noqa: PTH123
                if mark in file.read():
                    found.append(int(name))
        except (OSError, IndexError):
            continue
    return found


def clear(run_dir: str) -> None:
    """Kills the strays until none turns up any more, then removes the folder."""
    known = sessions(run_dir)
    quiet = 0
    deadline = time.monotonic() + 10
    while quiet < QUIET_ROUNDS and time.monotonic() < deadline:
        found = strays(run_dir, known)
        quiet = 0 if found else quiet + 1
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.03)
    shutil.rmtree(run_dir, ignore_errors=True)


def stop_pulse(run_dir: str) -> None:
    """Removes the pulse of a node that was killed before it could."""
    with contextlib.suppress(OSError):
        with open(os.path.join(run_dir, "main")) as file:  # noqa: PTH118, PTH123
            name = f"pulse-node-{file.read()}"
        os.unlink(os.path.join(os.path.dirname(run_dir), name))  # noqa: PTH108, PTH118, PTH120


def remove_groups() -> None:
    """Removes groups of control whose supervisors were killed before they could."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    sys.path.append(os.path.join(package, "engine"))  # noqa: PTH118
    import cgroup  # type: ignore[import-not-found]

    cgroup.sweep_all()


def main() -> None:
    """Waits for the node to end, however it ends, and clears up after it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    run_dir, node = sys.argv[1], int(sys.argv[2])
    with contextlib.suppress(ProcessLookupError):
        if os.getppid() == node:  # else it has ended already
            select.select([os.pidfd_open(node)], [], [])
    stop_pulse(run_dir)
    clear(run_dir)
    remove_groups()


if __name__ == "__main__":
    main()
