"""Flower as an operator starts it, on loopback, and a client that speaks to it."""

import base64
import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fixwurx_celery.settings import Settings
from tests.support.server import free_port
from tests.support.surroundings import environment
from tests.support.waiting import wait_until

CELERY = ("-m", "celery", "-A", "fixwurx_celery", "flower")
OURS = ("-c", "from fixwurx_celery.cli import main; main()", "flower")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Flower:
    """One Flower. `login` is sent with every request that does not say otherwise; all come from the
    address `comes_from`."""

    port: int
    process: "subprocess.Popen[bytes]"
    log: Path
    login: str = ""
    comes_from: str = "127.0.0.1"
    cookies: dict[str, str] = field(default_factory=dict)
    door: Path | None = None  # its socket, where it has no port

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, *,
        login: str | None = None, **headers: str,
    ) -> Answer:  # fmt: skip
        """One request; header names are written with `_`."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        login = self.login if login is None else login
        if login:
            given["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        if self.cookies:
            given["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=20, source_address=(self.comes_from, 0)
        )
        try:
            if self.door is not None:
                connection.sock = socket.socket(socket.AF_UNIX)
                connection.sock.connect(str(self.door))
            connection.request(method, path, body, given)
            got = connection.getresponse()
            return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
        finally:
            connection.close()

    def picture(self, prefix: str = "") -> dict[str, Any]:
        """All parts of the picture, without their versions."""
        answer = self.ask(f"{prefix}/api/fixwurx/cluster")
        assert answer.status == 200, answer
        return {name: content for name, (_, content) in answer.json.items()}

    def open_page(self, prefix: str = "") -> str:
        """Opens the page, as a browser does, and keeps its cookie: the token of its actions."""
        self.cookies.clear()
        cookie = self.ask(f"{prefix}/cluster").headers["set-cookie"].partition(";")[0]
        name, _, value = cookie.partition("=")
        self.cookies[name] = value
        return value

    def act(
        self, what: str, content: Mapping[str, str], token: str, prefix: str = "", **headers: str
    ) -> Answer:
        """As the page's buttons do it."""
        sent = {"Content_Type": "application/json", "X_XSRFToken": token, **headers}
        body = json.dumps(content).encode()
        return self.ask(f"{prefix}/api/fixwurx/{what}", "POST", body, **sent)


@contextmanager
def flower(
    settings: Settings, folder: Path, *options: str, login: str = "", prefix: str = "",
    command: Sequence[str] = CELERY, port: int = 0, **more: str,
) -> Iterator[Flower]:  # fmt: skip
    """A Flower that answers; it is ended at the end."""
    port = port or free_port()
    log = folder / f"flower-{port}.log"
    given = [f"--port={port}", *options]
    if login:
        given.append(f"--basic_auth={login}")
    if prefix:
        given.append(f"--url_prefix={prefix.strip('/')}")
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *command, *given], env=environment(settings, **more), cwd=folder,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    doors = [Path(each.partition("=")[2]) for each in options if each.startswith("--unix_socket=")]
    started = Flower(port, process, log, login, door=doors[0] if doors else None)

    def answers() -> bool:
        assert process.poll() is None, f"flower has ended:\n{log.read_text()[-3000:]}"
        try:
            if doors:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(str(doors[0]))
                return True
            return bool(started.ask(f"{prefix}/cluster/static/main.js").status)
        except OSError:
            return False

    try:
        wait_until(f"flower answers; its log: {log}", answers, within_s=40)
        yield started
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)


def refused(settings: Settings, folder: Path, *options: str, command: Sequence[str] = CELERY,
            **more: str) -> "subprocess.CompletedProcess[str]":  # fmt: skip
    """How a Flower ends that does not start."""
    return subprocess.run(
        [sys.executable, *command, f"--port={free_port()}", *options],
        env=environment(settings, **more), cwd=folder, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
