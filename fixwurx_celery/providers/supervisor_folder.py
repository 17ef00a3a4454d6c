"""Where the supervisor of local nodes is found, by those who ask it and by itself.

lock             held (flock) by the one supervisor of this folder for as long as it lives
s                the socket on which it answers; of no one where nobody holds the lock
supervisor.log
logs/<node>.log
"""

import contextlib
import fcntl
import os
import shutil
import socket
import stat
import time
from pathlib import Path
from typing import Final

from fixwurx_celery.errors import ProviderError
from fixwurx_celery.processes import identity

__all__ = ["SupervisorFolder", "take"]

SOCKET: Final = "s"
LOCK: Final = "lock"
WAITING_CALLERS: Final = 64
LOCK_S: Final = 30.0
"""How long another supervisor of the folder is waited for that does not answer: it begins, or it
ends. Who asked has given up before that."""
LOOK_EVERY_S: Final = 0.02


class SupervisorFolder:
    """The folder, held open: what is done in it is done in the very one that was checked."""

    def __init__(self, path: Path) -> None:
        """Makes the folder if it is not there.

        Raises ProviderError where it cannot be had, or where others may look into it: on its socket
        come passwords, and orders to run commands.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.mkdir(exist_ok=True, mode=0o700)
            self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise ProviderError(
                f"cannot keep local nodes in {path}: {error.strerror}; name another folder with "
                "FIXWURX_WORK_DIR"
            ) from error
        seen = os.fstat(self.fd)
        mode = stat.S_IMODE(seen.st_mode)
        wrong = ""
        if seen.st_uid != os.geteuid():
            wrong = f"it belongs to user {seen.st_uid}, not to {os.geteuid()}"
        elif mode & 0o077:
            wrong = f"its mode is {mode:o} and must be 700"
        if wrong:
            self.close()
            raise ProviderError(
                f"cannot keep local nodes in {path}: {wrong}; remove it, or name another folder "
                "with FIXWURX_WORK_DIR"
            )

    def connect(self, timeout_s: float) -> socket.socket:
        """A connection to the supervisor. Raises OSError when nobody listens."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(timeout_s)
            connection.connect(self._socket_path())
        except BaseException:
            connection.close()
            raise
        return connection

    def is_answered(self) -> bool:
        """Whether somebody listens."""
        try:
            self.connect(1.0).close()
        except OSError:
            return False
        return True

    def lock(self) -> int | None:
        """The supervisor's own: the lock, as a descriptor that holds it until it is closed; None
        while another process has it."""
        fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=self.fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A supervisor that ends removes its folder, and with it the lock that we waited for.
            if os.fstat(fd).st_ino == os.stat(self.path / LOCK).st_ino:  # noqa: PTH116
                return fd
        except OSError:
            pass
        os.close(fd)
        return None

    def sign(self, lock_fd: int) -> None:
        """The supervisor's own: writes into the lock which process it is, for people to read."""
        os.truncate(lock_fd, 0)
        os.pwrite(lock_fd, (identity(os.getpid()) or "").encode(), 0)

    def listen(self) -> socket.socket:
        """The supervisor's own: its socket, in the place of whatever an earlier one left."""
        for entry in self.path.iterdir():
            if entry.name == "logs":
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != LOCK:
                entry.unlink(missing_ok=True)
        (self.path / "logs").mkdir(mode=0o700, exist_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self._socket_path())
        listener.setblocking(False)
        listener.listen(WAITING_CALLERS)
        return listener

    def remove(self) -> None:
        """The supervisor's own, which still has the lock: removes all of it, the socket first."""
        with contextlib.suppress(OSError):
            os.unlink(SOCKET, dir_fd=self.fd)
        shutil.rmtree(self.path, ignore_errors=True)

    def close(self) -> None:
        """Lets go of it."""
        os.close(self.fd)

    def __enter__(self) -> "SupervisorFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _socket_path(self) -> str:
        # The path of a socket holds 107 bytes, and a user's folder may lie deeper than that.
        return f"/proc/self/fd/{self.fd}/{SOCKET}"


def take(path: Path) -> tuple[SupervisorFolder, int | None]:
    """The folder with its lock, or without it when another supervisor answers there."""
    deadline = time.monotonic() + LOCK_S
    while True:
        folder = SupervisorFolder(path)
        lock = folder.lock()
        if lock is not None or folder.is_answered():
            return folder, lock
        folder.close()
        if time.monotonic() > deadline:
            raise ProviderError(
                f"another supervisor has {path}, and did not answer or end within {LOCK_S:g} s"
            )
        time.sleep(LOOK_EVERY_S)
