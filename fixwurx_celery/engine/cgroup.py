"""Groups of control for commands: memory and processes bounded by the kernel, where we may.

Made below the group that this process is in, named `fixwurx-PID` after the supervisor that made
it, and removed by it; what a killed one left is removed by whoever makes the next. Nobody else's is
touched. Version 1 and 2; standard library only, for `supervise.py`.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable

ROOT = "/sys/fs/cgroup"
PREFIX = "fixwurx-"
ROUNDS = 10  # a child of one that is inside is inside: so few are ever needed


def parents(membership: str) -> list[tuple[str, tuple[str, ...]]]:
    """Folders below which groups could be made, each with the controllers that it then gives.

    `membership` is the text of /proc/self/cgroup.
    """
    found: list[tuple[str, tuple[str, ...]]] = []
    for line in membership.splitlines():
        _, names, path = line.split(":", 2)
        for controller in set(names.split(",")) & {"memory", "pids"}:
            found.append((in_hierarchy(f"{ROOT}/{controller}", path), (controller,)))
        if not names:
            own = in_hierarchy(ROOT, path)
            # Version 2 gives controllers to groups beside processes, not below them: so ours must
            # be beside us, where whoever started us has left us the group above.
            for folder in (own, os.path.dirname(own)):  # noqa: PTH120 - pathlib is not loaded
                given = set(read(f"{folder}/cgroup.subtree_control").split()) & {"memory", "pids"}
                if given and not folder.endswith(".slice"):
                    found.append((folder, tuple(sorted(given))))
                    break
    return found


def in_hierarchy(mounted: str, path: str) -> str:
    """Where the group is: a container may see nothing of what is above its own."""
    folder = f"{mounted}{path}".rstrip("/")
    return folder if os.path.isdir(folder) else mounted  # noqa: PTH112


def read(file: str) -> str:
    """The text of a file; none when it is not there."""
    try:
        with open(file, encoding="ascii") as stream:  # noqa: PTH123
            return stream.read()
    except OSError:
        return ""


def write(file: str, text: str) -> None:
    """Sets a limit."""
    with open(file, "w", encoding="ascii") as stream:  # noqa: PTH123
        stream.write(text)


def make(memory: int, processes: int) -> list[str]:
    """Groups of this process with these limits; as many as can be made, maybe none."""
    made = []
    for folder, controllers in parents(read("/proc/self/cgroup")):
        sweep(folder)
        group = f"{folder}/{PREFIX}{os.getpid()}"
        try:
            os.mkdir(group)  # noqa: PTH102
        except OSError:
            continue
        made.append(group)
        limits = {"pids.max": str(processes)} if "pids" in controllers else {}
        if "memory" in controllers:
            limits |= {name: str(memory) for name in ("memory.max", "memory.limit_in_bytes")}
            limits |= {"memory.memsw.limit_in_bytes": str(memory), "memory.swap.max": "0"}
        for name, value in limits.items():
            if os.path.exists(f"{group}/{name}"):  # noqa: PTH110
                with contextlib.suppress(OSError):
                    write(f"{group}/{name}", value)
    return made


def enter(groups: list[str], processes: Callable[[], Iterable[int]]) -> None:
    """Puts the processes into them, and those that they start meanwhile."""
    inside: set[int] = set()
    for _ in range(ROUNDS if groups else 0):
        if not (new := set(processes()) - inside):
            return
        for group in groups:
            for pid in new:
                with contextlib.suppress(OSError):
                    write(f"{group}/cgroup.procs", str(pid))
        inside |= new


def remove(groups: list[str]) -> None:
    """Removes them, once nothing is in them."""
    for group in groups:
        for _ in range(20):
            try:
                os.rmdir(group)  # noqa: PTH106
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.005)
            else:
                break


def sweep(folder: str) -> None:
    """Removes the groups in `folder` whose makers are gone."""
    for name in os.listdir(folder) if os.path.isdir(folder) else []:  # noqa: PTH208, PTH112
        if name.startswith(PREFIX) and not os.path.exists(f"/proc/{name[len(PREFIX) :]}"):  # noqa: PTH110
            with contextlib.suppress(OSError):
                os.rmdir(f"{folder}/{name}")  # noqa: PTH106


def sweep_all() -> None:
    """Removes what makers that are gone have left wherever this process could make groups."""
    for folder, _ in parents(read("/proc/self/cgroup")):
        sweep(folder)
