"""The parent of a cluster's nodes on this host: a process that outlives who asked for them.

    python -P -m fixwurx_celery.providers.supervisor FOLDER [--detach] [--idle S] [--grace S]
                                                     [--log-format json]

At most one runs for a folder. It answers on a socket there, a line of JSON for a line of JSON:

    {"do": "list"}                              {"nodes": [{"name": …, "state": …, …}]}
    {"do": "launch", "name": …, "argv": …, …}   {} once it is started, or if it was there
    {"do": "stop", "name": …}                   {} once it is told
    {"do": "remove", "name": …}                 {} once nothing of it is left

or {"error": …}. All that it knows is in its memory and dies with it, and so do its nodes: what it
lists is there. It inherits what they leave behind, and ends that. The environment of a node comes
over the socket, and goes nowhere but to the node.
"""

import argparse
import contextlib
import json
import logging
import os
import re
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fixwurx_celery.errors import ProviderError
from fixwurx_celery.logs import FORMATS, PLAIN, words, write_log
from fixwurx_celery.processes import inherit_orphans
from fixwurx_celery.processes.child import buried
from fixwurx_celery.processes.detach import detach
from fixwurx_celery.processes.offspring import end_children, living_children
from fixwurx_celery.processes.wakeup import Wakeup
from fixwurx_celery.providers.callers import Caller, Callers
from fixwurx_celery.providers.supervised import SupervisedNode
from fixwurx_celery.providers.supervisor_folder import SupervisorFolder, take

__all__ = ["GRACE_S", "IDLE_S", "main"]

IDLE_S: Final = 60.0
"""So long it waits for a controller that is being replaced, once it has no nodes."""
GRACE_S: Final = 60.0
"""What nodes have to end when it is told to end. They drain for FIXWURX_DRAIN_TIMEOUT_SEC, 30 s
unless that is set."""
ORPHANS_GRACE_S: Final = 2.5
"""A dead node's warden knows best what to end, and removes its folder. What is left then is
killed."""
REMOVE_S: Final = 4.0
"""Longer than that, and below the time within which a provider answers."""
MOST_ENDED: Final = 200
MOST_OWN_LOG: Final = 2**20
LOOK_EVERY_S: Final = 5.0
BUSY_S: Final = 0.02
NAME: Final = re.compile(r"[A-Za-z0-9]{1,40}")

log = logging.getLogger("supervisor")


class Refused(Exception):
    """What was asked cannot be done; the message is the answer."""


@dataclass(slots=True, kw_only=True)
class Removal:
    """A node that is being removed, and who waits for it."""

    node: SupervisedNode
    deadline: float
    callers: list[Caller]


class Supervisor:
    """The state of the process."""

    def __init__(self, folder: SupervisorFolder, listener: socket.socket, *, idle_s: float) -> None:
        self.folder, self.idle_s = folder, idle_s
        self.nodes: dict[str, SupervisedNode] = {}
        self.removals: dict[str, Removal] = {}
        self.orphans: dict[int, float] = {}
        self.asked_at = time.monotonic()
        self.wakeup = Wakeup()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.wakeup.fd, selectors.EVENT_READ)
        self.callers = Callers(listener, self.selector)

    def run(self) -> None:
        """Serves until it is told to end, or has had no nodes and no question for `idle_s`."""
        while not self.wakeup.is_told_to_end and not self._is_idle():
            for key, _ in self.selector.select(self._pause()):
                if key.fd == self.wakeup.fd:
                    self.wakeup.clear()
                elif (caller := self.callers.read(key.fd)) is not None:
                    self._attend(caller)
            self._look()

    def _is_idle(self) -> bool:
        if self.nodes or self.callers or self.orphans:
            self.asked_at = time.monotonic()
        return time.monotonic() - self.asked_at > self.idle_s

    def _pause(self) -> float:
        return BUSY_S if self.orphans or self.removals else min(LOOK_EVERY_S, self.idle_s)

    def _look(self) -> None:
        """Does what time and deaths have made due."""
        now = time.monotonic()
        self._bury()
        self._end_orphans(now)
        self._settle_removals(now)
        for node in self.nodes.values():
            node.child.bound_log()
        self.callers.drop_the_silent()
        with contextlib.suppress(OSError):
            if os.fstat(2).st_size > MOST_OWN_LOG:
                os.ftruncate(2, 0)

    # -- deaths ----------------------------------------------------------------------------

    def _bury(self) -> None:
        by_child = {id(node.child): node for node in self.nodes.values()}
        for child, status in buried([node.child for node in self.nodes.values()]):
            by_child[id(child)].bury(status)
            log.info(words("the node has ended", status=status, node=worker_id(child.name)))
        ended = [name for name, node in self.nodes.items() if node.end]
        for name in ended[: max(0, len(ended) - MOST_ENDED)]:
            self.nodes.pop(name).forget()

    def _end_orphans(self, now: float) -> None:
        """Kills what dead nodes left, once their wardens have had their time."""
        left = living_children() - self._mains()
        self.orphans = {pid: self.orphans.get(pid, now) for pid in left}
        for pid, since in self.orphans.items():
            if now - since > ORPHANS_GRACE_S:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _mains(self) -> set[int]:
        return {node.pid for node in self.nodes.values() if node.pid is not None}

    def _settle_removals(self, now: float) -> None:
        for name, removal in list(self.removals.items()):
            if removal.node.end and not self.orphans:
                self.nodes.pop(name, None)
                removal.node.forget()
                log.info(words("the node is removed", node=worker_id(name)))
                answer: dict[str, Any] = {}
            elif now > removal.deadline:
                left = ", ".join(map(str, self.orphans or self._mains()))
                answer = {
                    "error": f"node {name} could not be ended within {REMOVE_S:g} s: process "
                    f"{left} is still there"
                }
            else:
                continue
            del self.removals[name]
            self.callers.answer(removal.callers, answer)

    # -- questions -------------------------------------------------------------------------

    def _attend(self, caller: Caller) -> None:
        answer = self._answer(caller)
        if answer is not None:
            self.callers.answer([caller], answer)

    def _answer(self, caller: Caller) -> dict[str, Any] | None:
        """To what this one has asked, or None when it comes later."""
        try:
            asked = json.loads(caller.text)
            do, name = asked["do"], asked.get("name", "")
            if do == "list":
                return {"nodes": [node.as_dict() for node in self.nodes.values()]}
            if not NAME.fullmatch(name):
                raise Refused(f"node name {name!r} must be 1 to 40 letters and digits")
            match do:
                case "launch":
                    self._launch(name, asked)
                case "stop":
                    if name in self.nodes:
                        self.nodes[name].stop()
                case "remove":
                    if name in self.nodes:
                        self._remove(name, caller)
                        return None
                case other:
                    raise Refused(
                        f"this supervisor knows no {other!r}; it may be of another version"
                    )
        except Refused as refusal:
            return {"error": str(refusal)}
        except Exception as error:  # the others' nodes go on, whatever one caller has asked
            # Not its text: that may quote what was asked, and with it a password.
            place = traceback.extract_tb(error.__traceback__)[-1]
            kind = type(error).__name__
            log.error(words(f"{kind} at {place.filename}:{place.lineno}"))
            return {"error": f"the supervisor could not make sense of what it was asked ({kind})"}
        return {}

    def _launch(self, name: str, asked: dict[str, Any]) -> None:
        if name in self.nodes:
            return
        try:
            self.nodes[name] = node = SupervisedNode.launch(
                name=name,
                profile=asked["profile"],
                argv=asked["argv"],
                environment=asked["environment"],
                folder=asked["folder"],
                log=self.folder.path / "logs" / f"{name}.log",
            )
        except OSError as error:
            raise Refused(f"node {name} cannot be started: {error.strerror or error}") from error
        log.info(words(f"the node is started as process {node.pid}", node=worker_id(name)))

    def _remove(self, name: str, caller: Caller) -> None:
        node = self.nodes[name]
        deadline = time.monotonic() + REMOVE_S
        removal = self.removals.setdefault(name, Removal(node=node, deadline=deadline, callers=[]))
        removal.callers.append(caller)
        node.kill()

    # -- ending ----------------------------------------------------------------------------

    def stop(self, grace_s: float) -> None:
        """Ends all nodes: told first, killed after the grace time."""
        self.wakeup.be_deaf()
        self.callers.close()
        for node in self.nodes.values():
            node.stop()
        self._wait(lambda: not self._mains(), grace_s)
        for node in self.nodes.values():
            node.kill()
        self._wait(lambda: not living_children(), ORPHANS_GRACE_S)
        end_children(timeout_s=2.0)

    def _wait(self, is_so: Callable[[], bool], most_s: float) -> None:
        deadline = time.monotonic() + most_s
        while True:
            self._bury()
            if is_so() or time.monotonic() > deadline:
                return
            time.sleep(0.01)


def worker_id(name: str) -> str:
    """The name under which the node of this name registers."""
    return f"{name}@{socket.gethostname()}"


def main(arguments: Collection[str] | None = None) -> int:
    """Supervises until it is told to end. The status is 0 also where another one does."""
    parser = argparse.ArgumentParser(prog="fixwurx_celery.providers.supervisor")
    parser.add_argument("folder", type=Path, help="where it is found; made if need be, mode 700")
    parser.add_argument("--detach", action="store_true", help="go on in the background")
    parser.add_argument(
        "--idle", type=float, default=float("inf"), help="end after so many seconds without nodes"
    )
    parser.add_argument(
        "--grace", type=float, default=GRACE_S, help="seconds that nodes have to end [%(default)s]"
    )
    parser.add_argument(
        "--log-format", choices=FORMATS, default=PLAIN, help="of its own log [%(default)s]"
    )
    given = parser.parse_args(list(arguments) if arguments is not None else None)
    try:
        with contextlib.ExitStack() as stack:
            folder, lock = take(given.folder)
            stack.enter_context(folder)
            if lock is None:
                return 0
            listener = folder.listen()
            if given.detach:
                detach(folder.path / "supervisor.log")
            folder.sign(lock)
            write_log(given.log_format, "supervisor")
            inherit_orphans()
            supervisor = Supervisor(folder, listener, idle_s=given.idle)
            try:
                supervisor.run()
            finally:
                supervisor.stop(given.grace)
                folder.remove()
            os.close(lock)
    except (ProviderError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
