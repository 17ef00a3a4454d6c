"""Nodes as processes of this host, under a supervisor that outlives who asks for them."""

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.errors import ConfigurationError, ProviderError
from fixwurx_celery.logs import PLAIN
from fixwurx_celery.providers.base import LaunchOrder, ProvidedNode, ProvidedState
from fixwurx_celery.providers.launching import node_command, node_environment
from fixwurx_celery.providers.options import read_options, unknown_names
from fixwurx_celery.providers.supervisor import IDLE_S, worker_id
from fixwurx_celery.providers.supervisor_folder import SupervisorFolder
from fixwurx_celery.providers.telling import log_tail, passwords_of
from fixwurx_celery.settings import Settings, inherited_environment

__all__ = ["LocalProvider", "supervisor_folder"]

TIMEOUT_S: Final = 5.0
SUPERVISOR: Final = "supervisor"
OPTIONS: Final = (SUPERVISOR,)
TRY_EVERY_S: Final = 0.05


class LocalProvider:
    """A Provider whose nodes are `celery worker` processes here.

    Any number of these, in any process of this user on this host, share one supervisor. It is
    started by the first call that finds none, unless `is_supervised`: then somebody else keeps it
    running.
    """

    name = "local"

    def __init__(
        self,
        folder: Path,
        *,
        timeout_s: float = TIMEOUT_S,
        idle_s: float = IDLE_S,
        is_supervised: bool = False,
        secrets: Collection[str] = (),
        log_format: str = PLAIN,
    ) -> None:
        """`secrets` are not told, should a node's log have them. `log_format` is that of a
        supervisor which it starts."""
        self.log_format = log_format
        self.folder, self.timeout_s, self.idle_s = folder, timeout_s, idle_s
        self.is_supervised, self.secrets = is_supervised, secrets
        self.hostname = socket.gethostname()
        # A supervisor that somebody else keeps has nodes of its own, and is not the host's one.
        self.scope = f"local:{self.hostname}" + (f":{folder}" if is_supervised else "")

    @classmethod
    def of(cls, settings: Settings, cluster: str) -> "LocalProvider":
        """For the nodes of this cluster. Raises ConfigurationError for options that it has not.

        With the option `supervisor`, a folder, somebody else keeps the supervisor running.
        """
        options = read_options(settings.provider_options)
        problems = list(unknown_names(options, OPTIONS))
        given = options.get(SUPERVISOR, "")
        if not isinstance(given, str):
            problems.append(f"option {SUPERVISOR}: {given!r} is no folder")
        if problems:
            raise ConfigurationError(problems)
        folder = Path(given).expanduser() if given else supervisor_folder(settings, cluster)
        return cls(
            folder,
            is_supervised=bool(given),
            secrets=passwords_of(settings),
            log_format=settings.log_format,
        )

    def worker_id(self, name: str) -> str:
        """See Provider."""
        return worker_id(name)

    def is_gone(self, scope: str) -> bool:
        """See Provider."""
        kind, _, rest = scope.partition(":")
        host, _, folder = rest.partition(":")
        return kind == "local" and host == self.hostname and folder != "" and not _exists(folder)

    def list(self) -> Sequence[ProvidedNode]:
        """See Provider."""
        answer = self._ask({"do": "list"})
        return [
            ProvidedNode(
                name=node["name"],
                spec=NodeSpec.of_profile(node["profile"]),
                state=ProvidedState(node["state"]),
                age_s=node["age_s"],
                detail=self._detail(node["end"], node["tail"]),
            )
            for node in answer["nodes"]
        ]

    def _detail(self, end: str, log: str) -> str:
        tail = log_tail(log, self.secrets)
        return f"{end}; the end of its log:\n{tail}" if end and tail else end or tail

    def launch(self, order: LaunchOrder) -> None:
        """See Provider. It starts in this process's current folder, for engines that lie there."""
        folder = None
        with contextlib.suppress(FileNotFoundError):
            folder = os.getcwd()  # noqa: PTH109 - as text
        self._ask(
            {
                "do": "launch",
                "name": order.name,
                "profile": order.spec.profile,
                "argv": [
                    # Of the installation that this process is of, whatever the PATH says.
                    sys.executable,
                    "-m",
                    *node_command(self.worker_id(order.name)),
                ],
                "environment": {
                    **inherited_environment(),
                    **node_environment(order),
                },
                "folder": folder,
            }
        )

    def stop(self, name: str) -> None:
        """See Provider."""
        self._ask({"do": "stop", "name": name})

    def remove(self, name: str) -> None:
        """See Provider. Returns when none of its processes is left."""
        self._ask({"do": "remove", "name": name})

    def close(self) -> None:
        """See Provider. There is nothing to close: each call has a connection of its own."""

    # -- the supervisor --------------------------------------------------------------------

    def _ask(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the supervisor answers. Whatever breaks off is asked again, in the time there is:
        each question may be asked twice."""
        deadline = time.monotonic() + self.timeout_s
        line = json.dumps(question).encode() + b"\n"
        while True:
            text = self._exchange(line, deadline)
            if text.endswith(b"\n"):
                break
            if self.is_supervised:
                time.sleep(TRY_EVERY_S)
            else:
                self._start_supervisor(deadline)
        try:
            answer: Mapping[str, Any] = json.loads(text)
        except ValueError as error:
            raise ProviderError(
                f"what answers in {self.folder} is no supervisor of local nodes"
            ) from error
        if "error" in answer:
            raise ProviderError(answer["error"])
        return answer

    def _exchange(self, line: bytes, deadline: float) -> bytes:
        """The answer; without its newline when nobody listens, or the answer breaks off."""
        left = deadline - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            with SupervisorFolder(self.folder) as folder, folder.connect(left) as connection:
                connection.sendall(line)
                text = b""
                while not text.endswith(b"\n"):
                    connection.settimeout(max(0.001, deadline - time.monotonic()))
                    data = connection.recv(65536)
                    if not data:
                        break
                    text += data
                return text
        except TimeoutError:
            raise ProviderError(
                f"the supervisor of local nodes in {self.folder} did not answer within "
                f"{self.timeout_s:g} s"
            ) from None
        except OSError:
            return b""

    def _start_supervisor(self, deadline: float) -> None:
        """Returns when one listens, whoever started it; or when the time is over."""
        command = [sys.executable, "-P", "-m", "fixwurx_celery.providers.supervisor"]
        environment = {
            name: value
            for name, value in inherited_environment().items()
            if not name.startswith("FIXWURX_")
        }
        try:
            starter = subprocess.Popen(
                [
                    *command,
                    str(self.folder),
                    "--detach",
                    "--idle",
                    str(self.idle_s),
                    "--log-format",
                    self.log_format,
                ],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise ProviderError(
                f"the supervisor of local nodes cannot be started: {error.strerror}"
            ) from error
        try:
            _, said = starter.communicate(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            starter.kill()
            starter.communicate()
            return
        if starter.returncode:
            lines = said.decode("utf-8", "replace").strip().splitlines()
            raise ProviderError(
                f"the supervisor of local nodes cannot be started: "
                f"{lines[-1] if lines else f'it ended with status {starter.returncode}'}"
            )


def _exists(folder: str) -> bool:
    try:
        return Path(folder).exists()
    except OSError:  # whoever it belongs to
        return True


def supervisor_folder(settings: Settings, cluster: str) -> Path:
    """Where the supervisor of this cluster's nodes is found on this host."""
    name = hashlib.sha256(cluster.encode()).hexdigest()[:12]
    return settings.work_folder / f"local-{name}"
