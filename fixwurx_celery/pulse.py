"""The pulse of a process: a file whose age tells those beside it that it does its work.

    python -P -m fixwurx_celery.pulse

ends with 0 when all nodes, controllers and dashboards that run in this container are well, and with
1 when one is not, and says why. Costs a few hundredths of a second and asks nothing of the store,
so that containers can be asked often.

A node's pulse is each heartbeat that the store took, a controller's each sweep that it carried out:
so it is missing, too, while the store or the broker is away. That is a reason to send nobody there,
and none to start anything anew: nodes and controllers come back by themselves.
"""

import os
import re
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from fixwurx_celery.processes import identity, is_alive
from fixwurx_celery.settings import Settings

__all__ = ["Pulse", "Role", "roles_of", "troubles"]

PREFIX: Final = "pulse"
ANSWER_S: Final = 2.0
FLOWER_PORT: Final = 5555


class Role(StrEnum):
    """What a process of the cluster is."""

    NODE = "node"
    CONTROLLER = "controller"
    FLOWER = "flower"


class Pulse:
    """This process's own. The folder is that of FIXWURX_WORK_DIR."""

    def __init__(self, settings: Settings, role: Role) -> None:
        self._folder, self._role = settings.work_folder, role
        self._path: Path | None = None

    def beat(self) -> None:
        """The work goes on. A disk that is full does not keep it from that."""
        try:
            if self._path is None:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                _clear_after_the_dead(self._folder)
                self._path = self._folder / f"{PREFIX}-{self._role}-{identity(os.getpid())}"
            self._path.touch()
        except OSError:
            return

    def stop(self) -> None:
        """It is over, by design."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _clear_after_the_dead(folder: Path) -> None:
    for path in folder.glob(f"{PREFIX}-*"):
        if not is_alive(_owner(path)):
            path.unlink(missing_ok=True)


def _owner(path: Path) -> str:
    return path.name.split("-", 2)[2]


def roles_of(command: Sequence[str]) -> Iterator[tuple[Role, int]]:
    """What a process with this command line is, with the port that it serves (0: none)."""
    words = [word.rpartition("/")[2] for word in command]
    ours = {"fixwurx_celery", "fixwurx_celery.controller", "fixwurx-celery"}.intersection(words)
    if "flower" in words and ours:
        port = re.search(r"--port[= ](\d+)", " ".join(words))
        yield Role.FLOWER, int(port[1]) if port else FLOWER_PORT
    elif "worker" in words and ours:
        is_controller = "fixwurx_celery.controller" in ours
        yield (Role.CONTROLLER if is_controller else Role.NODE), 0


def roles_here() -> set[tuple[Role, int]]:
    """What runs in this container."""
    found: set[tuple[Role, int]] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_text("utf-8", "replace").split("\0")
            except OSError:  # it has ended since
                continue
            found.update(roles_of(command))
    return found


def troubles(settings: Settings, roles: set[tuple[Role, int]]) -> Iterator[str]:
    """A line for each of these that is not well."""
    for role, port in sorted(roles):
        match role:
            case Role.FLOWER:
                if said := _trouble_with_page(port):
                    yield f"{role}: {said}"
            case Role.NODE | Role.CONTROLLER:
                if said := _trouble_with_pulse(settings, role):
                    yield f"{role}: {said}"


def _trouble_with_pulse(settings: Settings, role: Role) -> str:
    ages_s = []
    for path in settings.work_folder.glob(f"{PREFIX}-{role}-*"):
        try:
            age_s = time.time() - path.stat().st_mtime
        except FileNotFoundError:  # it has ended since
            continue
        if is_alive(_owner(path)):
            ages_s.append(age_s)
    if not ages_s:
        return "it is not in service yet, or it is leaving"
    if max(ages_s) > settings.heartbeat_timeout_sec:
        return f"the store has not heard of it for {max(ages_s):.0f} s"
    return ""


def _trouble_with_page(port: int) -> str:
    try:
        with socket.create_connection(("127.0.0.1", port), ANSWER_S) as connection:
            connection.settimeout(ANSWER_S)
            connection.sendall(b"GET /healthcheck HTTP/1.0\r\n\r\n")
            said = connection.recv(256)
    except OSError as error:
        return f"no answer on port {port}: {error}"
    # Behind a login it answers 401, and is well.
    return "" if re.match(rb"HTTP/1\.[01] (200|401) ", said) else f"it answers {said[:64]!r}"


def main() -> int:
    """The exit status."""
    found = list(troubles(Settings.from_environment(), roles_here()))
    print("\n".join(found) or "well")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
