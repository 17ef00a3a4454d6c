"""A private RabbitMQ for tests: own name, ports, folders and epmd, gone with who started it."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.processes import freeze
from tests.support.server import end_with_parent, free_port
from tests.support.waiting import wait_until


class NoRabbitMQ(Exception):
    """rabbitmq-server is not installed on this machine."""


def scripts_folder() -> Path:
    """Where rabbitmq-server and rabbitmqctl lie. Raises NoRabbitMQ.

    Debian's commands on the PATH are wrappers that change to the user `rabbitmq` and to its cookie;
    what they call lies beside the wrapper, and runs as whoever calls it.
    """
    found = shutil.which("rabbitmq-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not found:
        raise NoRabbitMQ("no RabbitMQ for the tests: install rabbitmq-server")
    return Path(found).resolve().parent


@dataclass(slots=True)
class RabbitMQ:
    """One server. `kill` and `start` keep its folder, so what is durable survives."""

    scripts: Path
    folder: Path
    port: int = field(default_factory=free_port)
    epmd_port: int = field(default_factory=free_port)
    name: str = field(default_factory=lambda: f"fixwurx{secrets.token_hex(4)}@localhost")
    process: "subprocess.Popen[bytes] | None" = None
    epmd: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """How Celery reaches it."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def _environment(self) -> dict[str, str]:
        local = "-kernel inet_dist_use_interface {127,0,0,1}"
        return {
            "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin",
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),  # the cookie's place
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": local,
            "RABBITMQ_CTL_ERL_ARGS": local,
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none.conf"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            # Its script then becomes the server instead of waiting for it: our child is the server.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _spawn(self, *command: str, **ports: int) -> "subprocess.Popen[bytes]":
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                command,
                env=self._environment() | {key: str(port) for key, port in ports.items()},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=end_with_parent,
            )

    def start(self) -> None:
        """Starts it, and returns when it takes connections. Fails after 60 s."""
        if self.epmd is None:  # else the server would start one that outlives it
            self.epmd = self._spawn(
                "epmd", "-port", str(self.epmd_port), "-address", "127.0.0.1"
            )  # fmt: skip
            wait_until("epmd listens", lambda: _listens(self.epmd_port))
        # The port that servers talk to each other on: 0.0.0.0:25672 + n would be anybody's.
        self.process = self._spawn(
            str(self.scripts / "rabbitmq-server"), RABBITMQ_DIST_PORT=free_port()
        )
        wait_until(f"RabbitMQ answers on port {self.port}", self.answers, within_s=60)

    def answers(self) -> bool:
        """Whether it greets a client, as it does when its applications run."""
        if self.process is not None and self.process.poll() is not None:
            output = (self.folder / "output").read_text()
            raise AssertionError(f"RabbitMQ ended: {self.process.returncode}\n{output[-2000:]}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as client:
                client.sendall(b"AMQP\x00\x00\x09\x01")
                return bool(client.recv(1))
        except OSError:
            return False

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` answers."""
        command = [str(self.scripts / "rabbitmqctl"), "--quiet", *arguments]
        done = subprocess.run(
            command,
            env=self._environment(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def queues(self) -> list[str]:
        """The names of all its queues."""
        return self.control("list_queues", "name", "--no-table-headers").split()

    def consumed(self) -> list[str]:
        """The names of the queues that somebody consumes."""
        return self.control("list_consumers", "queue_name", "--no-table-headers").split()

    def stop(self) -> None:
        """As its operator does it; connections are closed with a word."""
        self.control("stop_app")

    def resume(self) -> None:
        """After `stop`; returns when it takes connections."""
        self.control("start_app")
        wait_until("RabbitMQ is back", self.answers, within_s=60)

    def kill(self) -> None:
        """As a power cut does it."""
        if self.process is not None:
            _end(self.process)
            self.process = None

    def freeze(self) -> None:
        """It takes bytes and does nothing, until `thaw`."""
        assert self.process is not None
        freeze(self.process.pid)

    def thaw(self) -> None:
        """After `freeze`."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def drop_connections(self) -> None:
        """Closes every client's connection."""
        self.control("close_all_connections", "dropped by a test")

    def __enter__(self) -> "RabbitMQ":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        if self.epmd is not None:
            _end(self.epmd)
        shutil.rmtree(self.folder, ignore_errors=True)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kills it and its children, by their ids."""
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait(timeout=10)
    for child in children:
        if child.is_running():
            child.kill()
    psutil.wait_procs(children, timeout=10)


def start_rabbitmq(folder: Path) -> RabbitMQ:
    """A server that takes connections. Raises NoRabbitMQ."""
    server = RabbitMQ(scripts_folder(), folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        server.start()
    except BaseException:
        server.__exit__(None, None, None)
        raise
    return server
