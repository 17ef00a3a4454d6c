"""A store behind Sentinel, for tests: a primary, a replica and three sentinels, all real.

Each has its own folder and port, and none outlives the tests. Failover is quick: a primary is down
after half a second of silence. Where both servers stay alive, sentinels need longer: they look at a
new primary once a second, and would take it for down before they have seen it.
"""

import contextlib
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.support.server import (
    Server,
    end_with_parent,
    free_port,
    server_binary,
    start_server,
)
from tests.support.waiting import wait_until

MASTER = "the-store"


@dataclass(slots=True)
class Guarded:
    """A primary and its replica, under three sentinels that have a password of their own."""

    servers: list[Server]
    ports: list[int]
    password: str
    sentinels: "list[subprocess.Popen[bytes]]"

    @property
    def url(self) -> str:
        """How clients name it; as sentinels listen on loopback, the first of them is enough."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        store = self.servers[0].password
        return f"redis+sentinel://:{store}@{hosts}/{MASTER}/0?sentinel_password={self.password}"

    def ask(self, number: int = 0) -> "redis.Redis":
        """A client of one sentinel."""
        return redis.Redis(port=self.ports[number], password=self.password, decode_responses=True)

    def address(self) -> int | None:
        """The port of the server that the sentinels call primary now; None while they disagree."""
        ports = set()
        for number in range(len(self.ports)):
            with self.ask(number) as sentinel:
                _, port = sentinel.sentinel_get_master_addr_by_name(MASTER)
                ports.add(int(port))
        return ports.pop() if len(ports) == 1 else None

    def primary(self) -> Server:
        """The server that the sentinels agree on."""
        port = wait_until("the sentinels agree on a primary", self.address)
        return next(server for server in self.servers if server.port == port)

    def replica(self) -> Server:
        """The other one."""
        port = self.primary().port
        return next(server for server in self.servers if server.port != port)

    def fail_over(self) -> None:
        """As an operator does it: the primary steps down, alive."""
        before = self.primary().port
        with self.ask() as sentinel:
            sentinel.execute_command("SENTINEL", "FAILOVER", MASTER)
        self.wait_for_another(before)

    def wait_for_another(self, before: int) -> None:
        """Returns when the sentinels agree on another primary than the one on this port, and it
        takes writes."""
        wait_until(
            "the sentinels agree on another primary",
            lambda: self.address() not in (None, before),
            within_s=30,
        )
        with client(self.primary()) as there:
            wait_until("it takes writes", lambda: there.info("replication")["role"] == "master")

    def wait_until_replicated(self) -> None:
        """Returns when a replica follows the primary, and all sentinels know of it."""
        with client(self.primary()) as there:
            wait_until("the replica follows", lambda: follows(there), within_s=30)
        for number in range(len(self.ports)):
            with self.ask(number) as sentinel:
                wait_until(
                    "the sentinels know each other and the replica",
                    lambda sentinel=sentinel: complete(sentinel),  # type: ignore[misc]
                    within_s=30,
                )


def client(server: Server) -> "redis.Redis":
    """A client of that server, whatever its role."""
    return redis.Redis.from_url(server.url, decode_responses=True)


def follows(primary: "redis.Redis") -> bool:
    """Whether a replica of this primary is up to date."""
    replica = primary.info("replication").get("slave0", {})
    return bool(replica) and replica["state"] == "online"


def complete(sentinel: "redis.Redis") -> bool:
    """Whether this sentinel sees a quorum, and a replica that it could promote."""
    state = sentinel.sentinel_master(MASTER)
    if state["num-other-sentinels"] < 2:
        return False
    replicas = sentinel.sentinel_slaves(MASTER)
    return any(r["master-link-status"] == "ok" and not r["is_sdown"] for r in replicas)


@contextlib.contextmanager
def guarded(
    folder: Path, *, append_only: bool = True, down_after_ms: int = 500
) -> Iterator[Guarded]:
    """A store behind Sentinel, ready to fail over. Raises NoServer."""
    store_password, password = secrets.token_hex(8), secrets.token_hex(8)
    with contextlib.ExitStack() as stack:
        given = {"append_only": append_only, "password": store_password}
        primary = stack.enter_context(
            start_server(
                folder / "a", masterauth=store_password, repl_diskless_sync_delay="0", **given
            )
        )
        replica = stack.enter_context(
            start_server(
                folder / "b", masterauth=store_password, repl_diskless_sync_delay="0",
                replicaof=f"127.0.0.1 {primary.port}", **given,
            )
        )  # fmt: skip
        ports = [free_port() for _ in range(3)]
        made = Guarded([primary, replica], ports, password, [])
        with client(primary) as there:
            wait_until("the replica follows", lambda: follows(there), within_s=30)
        for port in ports:
            process = start_sentinel(folder / f"sentinel-{port}", port, made, down_after_ms)
            made.sentinels.append(process)
            stack.callback(process.wait, 10)
            stack.callback(process.kill)
        for number, port in enumerate(ports):
            with made.ask(number) as sentinel:
                wait_until(
                    f"the sentinel on port {port} answers",
                    lambda sentinel=sentinel: answers(sentinel),
                    within_s=20,
                )
        made.wait_until_replicated()
        yield made


def start_sentinel(
    folder: Path, port: int, store: Guarded, down_after_ms: int
) -> "subprocess.Popen[bytes]":
    """One sentinel; it writes what it learns into its configuration file."""
    folder.mkdir()
    primary = store.servers[0]
    lines = [
        f"port {port}",
        "bind 127.0.0.1",
        f"dir {folder}",
        f"logfile {folder / 'sentinel.log'}",
        f"requirepass {store.password}",
        f"sentinel monitor {MASTER} 127.0.0.1 {primary.port} 2",
        f"sentinel auth-pass {MASTER} {primary.password}",
        f"sentinel down-after-milliseconds {MASTER} {down_after_ms}",
        f"sentinel failover-timeout {MASTER} 4000",
    ]
    (folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
    return subprocess.Popen(
        [server_binary(), str(folder / "sentinel.conf"), "--sentinel"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=end_with_parent,
    )


def answers(sentinel: "redis.Redis") -> bool:
    """Whether it has come up."""
    try:
        return bool(sentinel.ping())
    except redis.ConnectionError:
        return False
