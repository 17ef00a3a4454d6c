"""What the processes below one use, measured from outside. For `supervise.py`; standard library.

A limit of the kernel's on one process bounds no command that starts many, and a group of control
cannot be had everywhere; so this is looked at once a second, too.
"""

import os
import stat

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MOST_ENTRIES = 1_000_000  # of files: one that has more has used up its disk, whatever their size
MOST_OPEN = 50_000


def below(root: int) -> dict[int, int]:
    """Every living process below `root` with its resident pages, from one walk over /proc."""
    children: dict[int, list[int]] = {}
    pages: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib is not loaded
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - pathlib is not loaded
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] != b"Z":
            children.setdefault(int(fields[1]), []).append(int(name))
            pages[int(name)] = int(fields[21])
    found: dict[int, int] = {}
    queue = [root]
    while queue:
        for pid in children.get(queue.pop(), []):
            found[pid] = pages[pid]
            queue.append(pid)
    return found


def too_much(root: int, spec: dict[str, int], folders: list[str], free_at_start: int) -> str:
    """What of it the processes below `root` have used up: `memory`, `disk`, or nothing.

    `free_at_start` is what was free on the disk of `folders` when they began.
    """
    processes = below(root)
    nameless = nameless_files(processes, os.stat(folders[0]).st_dev)  # noqa: PTH116
    if nameless is None:
        return "disk"
    on_disk, in_memory = nameless
    limit = spec["memory"]
    resident = in_memory + PAGE_BYTES * sum(processes.values())
    # What several share is counted for each of them until now.
    if resident > limit and in_memory + sum(map(own_share, processes)) > limit:
        return "memory"
    limit = spec["disk"]
    is_fuller = free_at_start - free_bytes(folders[0]) > limit - on_disk
    if is_fuller and on_disk + size_of(folders, limit - on_disk) > limit:
        return "disk"
    return ""


def free_bytes(folder: str) -> int:
    """What is free on its disk."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def own_share(pid: int) -> int:
    """The memory of a process, in which what it shares with others counts by its share."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def nameless_files(processes: dict[int, int], disk: int) -> tuple[int, int] | None:
    """Bytes of open files that have no name any more, or never had one: on that disk, and in
    memory. None when more are open than can be looked at."""
    on_disk = in_memory = count = 0
    seen: set[tuple[int, int]] = set()
    for pid in processes:
        try:
            with os.scandir(f"/proc/{pid}/fd") as entries:
                for entry in entries:
                    count += 1
                    if count > MOST_OPEN:
                        return None
                    try:
                        status = os.stat(entry.path)  # noqa: PTH116
                    except OSError:
                        continue
                    if not stat.S_ISREG(status.st_mode) or status.st_nlink:
                        continue
                    if (status.st_dev, status.st_ino) in seen:
                        continue
                    seen.add((status.st_dev, status.st_ino))
                    if status.st_dev == disk:
                        on_disk += status.st_blocks * 512
                    else:
                        in_memory += status.st_blocks * 512
        except OSError:
            continue
    return on_disk, in_memory


def size_of(folders: list[str], enough: int) -> int:
    """What lies in `folders`, at least as long as it is not more than `enough`."""
    total = count = 0
    queue = list(folders)
    while queue and total <= enough:
        try:
            with os.scandir(queue.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    total += status.st_blocks * 512
                    count += 1
                    if entry.is_dir(follow_symlinks=False):
                        queue.append(entry.path)
        except OSError:
            continue
        if count > MOST_ENTRIES:
            return enough + 1
    return total
