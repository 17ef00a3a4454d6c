"""Files in folders that commands of a repository can write to: read and written without being led.

Such a command may put a link in the place of a file or of a folder above it, or a pipe whose reader
waits for ever, or more text than there is memory. It is over when these functions are called, so
nothing changes under them.
"""

import os
import stat
from pathlib import Path

__all__ = ["NotAFile", "read_file", "write_file"]

FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class NotAFile(OSError):
    """There is something else in the place of the file."""


def read_file(root: Path, name: str, most: int) -> bytes:
    """The bytes of file `name` below `root`. Raises OSError when it is none, or has over `most`."""
    with os.fdopen(_open(root, name, os.O_RDONLY), "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise NotAFile(f"{name} has over {most} bytes")
    return data


def write_file(root: Path, name: str, data: bytes) -> None:
    """Writes over the file `name` below `root`, which is there. Raises OSError when it is none."""
    with os.fdopen(_open(root, name, os.O_WRONLY), "wb") as file:
        file.truncate()
        file.write(data)


def _open(root: Path, name: str, how: int) -> int:
    *folders, last = Path(name).parts
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | FLAGS)
    try:
        for folder in folders:
            below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | FLAGS, dir_fd=here)
            os.close(here)
            here = below
        found = os.open(last, how | FLAGS, dir_fd=here)
    finally:
        os.close(here)
    status = os.fstat(found)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        return found
    os.close(found)
    raise NotAFile(f"{name} is not a file of its own")
