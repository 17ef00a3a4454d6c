"""The cluster's user during the chaos: submits, cancels, drains, and asks until answered."""

import json
import random
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fixwurx_celery.cluster import ClusterResourceManager, Connection
from fixwurx_celery.errors import NodeUnknown, StoreUnavailable
from fixwurx_celery.settings import Settings
from tests.chaos.work import Task

__all__ = ["Client", "Drain", "plan_drains"]

ASK_AGAIN_S = 0.3
COMMAND = "from fixwurx_celery.cli import main; main()"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Drain:
    """A node is drained, and takes bugs again later. `pick` of 0 to 1 says which."""

    at_s: float
    pick: float
    for_s: float


def plan_drains(rng: random.Random, seconds: float) -> Sequence[Drain]:
    """One about every twenty seconds."""
    drains, at = [], rng.uniform(3, 15)
    while at < seconds:
        drains.append(Drain(at, rng.random(), rng.uniform(1, 8)))
        at += rng.uniform(8, 32)
    return drains


@dataclass(slots=True)
class Client:
    """A thread that carries out its plan in order, late where the store was away."""

    settings: Settings
    environment: Mapping[str, str]
    folder: Path
    tasks: Sequence[Task]
    drains: Sequence[Drain]
    log: list[str] = field(default_factory=list)
    cancelled: dict[str, str] = field(default_factory=dict)
    drained: deque[str] = field(default_factory=deque)
    error: BaseException | None = None
    manager: ClusterResourceManager = field(init=False)
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.manager = ClusterResourceManager(connection=Connection(self.settings))
        self.thread = threading.Thread(target=self.live, name="client", daemon=True)

    def live(self) -> None:
        """All of the plan, until it is done."""
        began = time.monotonic()
        deeds: list[tuple[float, Callable[[], None]]] = []
        for at in sorted({task.submit_at_s for task in self.tasks}):
            wave = [task for task in self.tasks if task.submit_at_s == at]
            deeds.append((at, lambda wave=wave: self.submit(wave)))  # type: ignore[misc]
        for task in self.tasks:
            if task.cancel_at_s is not None:
                deeds.append((task.cancel_at_s, lambda task=task: self.cancel(task.bug.id)))  # type: ignore[misc]
        for drain in self.drains:
            deeds.append((drain.at_s, lambda drain=drain: self.drain(drain.pick)))  # type: ignore[misc]
            deeds.append((drain.at_s + drain.for_s, self.resume))
        try:
            for at, deed in sorted(deeds, key=lambda entry: entry[0]):
                time.sleep(max(0.0, began + at - time.monotonic()))
                deed()
            while self.drained:
                self.resume()
        except BaseException as error:
            self.error = error
            raise

    def close(self) -> None:
        """After the plan is done."""
        self.manager.connection.close()

    def answered(self, ask: Callable[[], T]) -> T:
        """The answer, however often the question must be put."""
        while True:
            try:
                return ask()
            except StoreUnavailable:
                time.sleep(ASK_AGAIN_S)

    # -- deeds -----------------------------------------------------------------------------

    def submit(self, wave: Sequence[Task]) -> None:
        """Until all of the wave are taken."""
        for answer in self.answered(lambda: self.manager.enqueue_many([task.bug for task in wave])):
            if isinstance(answer, Exception):
                raise answer

    def cancel(self, bug_id: str) -> None:
        """By the library, every fourth by the command."""
        if len(self.cancelled) % 4:
            self.cancelled[bug_id] = self.answered(self.manager.handle(bug_id).cancel)
        else:
            self.cancelled[bug_id] = json.loads(self.command("bug", "cancel", bug_id))[0]["state"]

    def drain(self, pick: float) -> None:
        """One of the nodes in service, by the command."""
        live = self.answered(lambda: self.manager.cluster_state.live)
        if live:
            name = sorted(node.worker_id for node in live)[int(pick * len(live))]
            self.drained.append(name)
            self.command("node", "drain", name)

    def resume(self) -> None:
        """The node that was drained first. It may be gone by now."""
        if not self.drained:
            return
        name = self.drained.popleft()
        store = self.manager.connection.store
        try:
            self.manager.connection.ring(self.answered(lambda: store.resume(name)))
            self.say(f"{name} is resumed")
        except NodeUnknown:
            self.say(f"{name} is gone, and is not resumed")

    def command(self, *words: str) -> str:
        """What the command prints as JSON, once it has reached the store."""
        while True:
            ended = subprocess.run(
                [sys.executable, "-c", COMMAND, *words, "--json"],
                env=dict(self.environment),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
            )
            self.say(f"{' '.join(words)}: {ended.returncode} {ended.stdout} {ended.stderr}")
            if ended.returncode != StoreUnavailable.exit_status:
                return ended.stdout

    def say(self, text: str) -> None:
        self.log.append(f"{time.monotonic():10.2f}  {' '.join(text.split())}")
