"""A private Redis or Valkey that is Celery's broker and nothing else."""

import os
import signal
from pathlib import Path

import redis

from tests.support.processes import freeze
from tests.support.server import Server, start_server


class RedisBroker:
    """One server, with the ways a broker fails. `kill` and `start` keep its folder."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = server.url
        self.start, self.kill, self.resume = server.start, server.kill, server.start

    def _client(self) -> "redis.Redis":
        return redis.Redis.from_url(self.url)

    def stop(self) -> None:
        """As its operator does it, until `resume`."""
        assert self.server.process is not None
        self.server.process.terminate()
        self.server.process.wait(timeout=10)

    def freeze(self) -> None:
        """It takes bytes and does nothing, until `thaw`."""
        assert self.server.process is not None
        freeze(self.server.process.pid)

    def thaw(self) -> None:
        """After `freeze`."""
        assert self.server.process is not None
        os.kill(self.server.process.pid, signal.SIGCONT)

    def drop_connections(self) -> None:
        """Closes every client's connection."""
        with self._client() as client:
            for kind in ("normal", "pubsub"):
                client.client_kill_filter(_type=kind, skipme=True)

    def flush(self) -> None:
        """Deletes all that it holds."""
        with self._client() as client:
            client.flushall()

    def queues(self) -> list[str]:
        """The names of the queues of nodes that it holds, messages or bindings."""
        with self._client() as client:
            keys = [key.decode() for key in client.keys("*")]
            bound = [member.decode() for key in keys if "_kombu.binding.fixwurx.node" in key
                     for member in client.smembers(key)]  # fmt: skip
        return [name for name in keys + bound if "fixwurx.node." in name]

    def __enter__(self) -> "RedisBroker":
        return self

    def __exit__(self, *_: object) -> None:
        self.server.__exit__()


def start_redis_broker(folder: Path) -> RedisBroker:
    """A broker that answers, and keeps what it took over `kill`. Raises NoServer."""
    return RedisBroker(start_server(folder, append_only=True))
