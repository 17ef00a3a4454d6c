"""Folders under the user's state directory, each for one command at a time.

<root>/runs/<key>/   of one `run`: the key names its output folder and its bugs, so the same run
                     after a crash finds its store again, and another one gets another folder
<root>/up/           of `up`
    lock             held (flock) by the command and by its guardian, so that no second command
                     begins on the files of a store that is still about to end
    valkey/          the store's append-only file
    artifacts/ logs/
"""

import contextlib
import fcntl
import os
import shutil
import time
from pathlib import Path
from typing import Final

from platformdirs import user_state_path

from fixwurx_celery.errors import FixwurxError
from fixwurx_celery.processes import identity, is_alive

__all__ = ["StateFolder", "prune", "state_root"]

WAIT_FOR_ENDING_S: Final = 20.0
"""A guardian clears up within 15 s of the death of its command."""
KEEP_S: Final = 7 * 86400.0


def state_root(given: str | None = None) -> Path:
    """`given`, or FIXWURX_STATE_DIR, or the user's state directory for this program."""
    named = given or os.environ.get("FIXWURX_STATE_DIR")
    return Path(named).expanduser().absolute() if named else user_state_path("fixwurx-celery")


class StateFolder:
    """A folder that is this command's alone while it holds it."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path, self.lock_fd = path, lock_fd

    @classmethod
    def take(cls, path: Path, *, wait_s: float = WAIT_FOR_ENDING_S) -> "StateFolder":
        """The folder, made if it is not there.

        Waits when the command that had it is dead and its processes are about to end. Raises
        FixwurxError when a living one has it, or when it cannot be written.
        """
        deadline = time.monotonic() + wait_s
        while True:
            try:
                path.mkdir(parents=True, exist_ok=True, mode=0o700)
                fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise FixwurxError(
                    f"cannot keep state in {path}: {error.strerror}; name another folder with "
                    "--state-dir or FIXWURX_STATE_DIR"
                ) from error
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                holder = os.pread(fd, 64, 0).decode("ascii", "replace").strip()
                os.close(fd)
                is_held = bool(holder) and is_alive(holder)
                if is_held or time.monotonic() > deadline:
                    who = f"process {holder.partition('-')[0]}" if holder else "another process"
                    raise FixwurxError(
                        f"{path} is in use by {who}; wait until it has ended, or name another "
                        "folder with --state-dir"
                    ) from None
                time.sleep(0.1)
                continue
            with contextlib.suppress(FileNotFoundError):
                if (path / "lock").stat().st_ino == os.fstat(fd).st_ino:
                    os.truncate(fd, 0)
                    os.pwrite(fd, (identity(os.getpid()) or "").encode(), 0)
                    return cls(path, fd)
            os.close(fd)  # removed by the one who had it, while we waited

    def folder(self, name: str) -> Path:
        """A folder in it."""
        (self.path / name).mkdir(exist_ok=True, mode=0o700)
        return self.path / name

    def clear(self) -> None:
        """Empties it but for the lock."""
        for entry in self.path.iterdir():
            if entry.name != "lock":
                remove(entry)

    def release(self, *, remove_it: bool = False) -> None:
        """Gives it up, and removes it if told so. Harmless when repeated."""
        fd, self.lock_fd = self.lock_fd, -1
        if fd < 0:
            return
        if remove_it:
            remove(self.path)
        os.close(fd)

    def __enter__(self) -> "StateFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def remove(path: Path) -> None:
    """Removes the file or folder, as far as that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def prune(folder: Path, *, keep_s: float = KEEP_S) -> None:
    """Removes the state folders in it that nobody holds and nobody took for a week."""
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        try:
            if time.time() - (entry / "lock").stat().st_mtime < keep_s:
                continue
            StateFolder.take(entry, wait_s=0).release(remove_it=True)
        except (OSError, FixwurxError):
            continue
