"""What the tests of FixWurx's document share: a cluster that they bring along, told as it goes.

Each of these tests is a script too, `python tests/test_….py`, that prints what it sees.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

from fixwurx_celery import (
    BalancingStrategy,
    Bug,
    BugState,
    ClusterResourceManager,
    LoadBalancer,
    ResourceManager,
    ScalingCoordinator,
)
from fixwurx_celery.domain.words import counted
from tests.support.surroundings import ROOT
from tests.support.waiting import wait_until

__all__ = ["Story", "script", "story"]

QUICK = {
    "FIXWURX_ENGINE": "tests.support.engines:Scripted",
    "FIXWURX_HEARTBEAT_INTERVAL_SEC": "0.3",
    "FIXWURX_HEARTBEAT_TIMEOUT_SEC": "5",
    "FIXWURX_HEALTH_CHECK_INTERVAL_SEC": "1",
    "FIXWURX_RING_AFTER_SEC": "1",
    "FIXWURX_SCALE_DOWN_WINDOW_SEC": "3",
}
"""Seconds instead of minutes."""


@dataclass(slots=True)
class Story:
    """The four objects of FixWurx's usage example, and who is told what happens."""

    base: ResourceManager
    coordinator: ScalingCoordinator
    balancer: LoadBalancer
    manager: ClusterResourceManager
    folder: Path
    say: Callable[[str], object]
    count: int = 0
    gates: dict[str, Path] = field(default_factory=dict)

    def enqueue(self, count: int, **given: Any) -> list[str]:
        """So many bugs that run until the test lets them end."""
        bugs = []
        for _ in range(count):
            self.count += 1
            name = f"BUG-{self.count:03d}"
            self.gates[name] = self.folder / f"end-{name}"
            steps = [{"phase": "REPRO"}, {"phase": "PATCH", "until": str(self.gates[name])}]
            bugs.append(Bug(id=name, payload={"steps": steps}, **given))
        for bug in bugs:
            self.manager.enqueue(bug)
        return [bug.id for bug in bugs]

    def let_end(self, *bugs: str) -> None:
        for bug in bugs:
            self.gates[bug].touch()

    def nodes(self) -> int:
        return len(self.coordinator.workers)

    def comes_true(self, what: str, look: Callable[[], object], within_s: float = 60) -> None:
        wait_until(what, look, within_s=within_s)
        self.say(f"{what}: {self.picture()}")

    def picture(self) -> str:
        metrics = self.coordinator.get_scaling_metrics()
        return (
            f"{counted(metrics['worker_count'], 'node')}, {metrics['free_agents']} of "
            f"{metrics['total_agent_capacity']} agents free, "
            f"{counted(self.waiting(), 'bug')} waiting"
        )

    # -- looking at it -------------------------------------------------------------------------

    def running(self) -> dict[str, str]:
        """The bugs that run at this instant, with their nodes."""
        held = dict(self.manager.bug_assignments)
        states = self.manager.connection.store.states(list(held))
        return {bug: held[bug] for bug, state in states.items() if state is BugState.RUNNING}

    def waiting(self) -> int:
        return int(self.manager.get_backlog()["waiting"])

    def decisions(self, action: str) -> list[str]:
        """The reasons of the decisions of this kind, the oldest first."""
        history = self.coordinator.get_scaling_history(limit=200)
        return [one["reason"] for one in reversed(history) if one["action"] == action]

    def process_of(self, worker_id: str) -> psutil.Process:
        """The main process of a node."""
        url = self.manager.connection.settings.redis_url
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                is_named = worker_id in process.cmdline()
                if is_named and process.environ().get("FIXWURX_REDIS_URL") == url:
                    parent = process.parent()  # the first of them: pool processes are its forks
                    if parent is None or worker_id not in parent.cmdline():
                        return process
        raise AssertionError(f"{worker_id} has no process")


@contextmanager
def story(
    say: Callable[[str], object],
    *,
    min_workers: int = 1,
    max_workers: int = 3,
    strategy: BalancingStrategy = BalancingStrategy.WEIGHTED_CAPACITY,
    state_path: Path | None = None,
    **environment: str,
) -> Iterator[Story]:
    """A cluster of nine agents a node, started as the usage example does, and stopped."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    inherited = {name: "" for name in os.environ if name.startswith("FIXWURX_")}
    settings = {**inherited, **QUICK, "PYTHONPATH": path, **environment}
    # Short, because the store's and the nodes' sockets lie below it.
    with (
        tempfile.TemporaryDirectory(prefix="story", dir="/tmp") as folder,
        patch.dict(os.environ, {"FIXWURX_STATE_DIR": f"{folder}/state", **settings}),
    ):
        base = ResourceManager(total_agents=9)
        coordinator = ScalingCoordinator(
            min_workers=min_workers,
            max_workers=max_workers,
            scaling_interval_sec=1,
            resource_manager=base,
            state_path=state_path,
        )
        balancer = LoadBalancer(strategy, coordinator, health_check_interval_sec=1)
        manager = ClusterResourceManager(base, coordinator, balancer, sync_interval_sec=1)
        coordinator.start()
        try:
            balancer.start()
            manager.start_sync()
            yield Story(base, coordinator, balancer, manager, Path(folder), say)
        finally:
            manager.stop_sync()
            balancer.stop()
            coordinator.stop()
            say("stopped: nothing of it is left")


def script(test: Callable[[Callable[[str], object]], None]) -> None:
    """Runs the test as a script that prints what it sees."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    test(print)
