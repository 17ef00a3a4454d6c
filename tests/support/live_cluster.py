"""Nodes that come and go under test, bugs that wait for the test, and what nodes leave."""

import contextlib
import dataclasses
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from fixwurx_celery.domain.bugs import TERMINAL, BugState
from fixwurx_celery.domain.nodes import WorkerNode, WorkerState
from fixwurx_celery.errors import BugUnknown
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import BugRecord
from tests.support.node_cluster import NodeCluster
from tests.support.processes import NodeProcess, having, nodes
from tests.support.surroundings import ROOT
from tests.support.waiting import wait_until

__all__ = ["LiveCluster", "LongBug"]


class LiveCluster(NodeCluster):
    """A namespace of its own; each of its nodes has a working folder of its own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        quick = {
            "namespace": f"t{uuid.uuid4().hex[:12]}",
            "engine": "tests.support.engines:Scripted",
            "total_agents": 3,
            "heartbeat_interval_sec": 0.3,
            "heartbeat_timeout_sec": 3,
            "lease_sec": 5,
            "ring_after_sec": 1,
            "backoff_sec": 0.2,
        }
        super().__init__(Settings(**{**quick, **settings}), folder)
        self._submitted: list[str] = []

    def close(self) -> None:
        self.connection.close()

    @contextmanager
    def node(self, name: str, **settings: Any) -> Iterator[NodeProcess]:
        """A node in service. It is killed at the end if it still runs."""
        own = dataclasses.replace(self.settings, work_dir=str(self.work_dir(name)), **settings)
        with nodes(own, self.store, self.folder, name) as (started,):
            yield started

    def work_dir(self, name: str) -> Path:
        return self.folder / f"work-{name}"

    def seen(self, name: str) -> WorkerNode:
        """The node as the store shows it."""
        return next(node for node in self.store.snapshot().nodes if node.worker_id == name)

    def waits_for(self, state: WorkerState, name: str, within_s: float = 20) -> None:
        wait_until(f"{name} is {state}", lambda: self.seen(name).state is state, within_s=within_s)

    def cli(self, *arguments: str) -> str:
        """What the command says, which must succeed."""
        return subprocess.run(
            [sys.executable, "-c", "from fixwurx_celery.cli import main; main()", *arguments],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                **self.settings.environment(),
            },
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout

    # -- bugs ------------------------------------------------------------------------------

    def submit(self, *steps: dict[str, Any], **given: Any) -> str:
        bug_id = super().submit(*steps, **given)
        self._submitted.append(bug_id)
        return bug_id

    def long_bug(self, **given: Any) -> "LongBug":
        """A bug that runs on its node, past its checkpoint, until the test lets it end."""
        mark = f"mark-{uuid.uuid4().hex}"
        gate = self.folder / mark
        bug_id = self.submit(
            {"phase": "REPRO"}, {"phase": "PATCH", "children": mark, "until": str(gate)}, **given
        )
        bug = LongBug(self, bug_id, mark, gate)
        wait_until(f"{bug_id} runs", lambda: len(having(mark)) == 2, within_s=30)
        wait_until(f"{bug_id} told of its first step", lambda: bug.record().phase == "REPRO")
        return bug

    def cancel_all(self) -> None:
        """No bug is under way any more, nor any process of one."""
        submitted, self._submitted = self._submitted, []
        for bug_id in submitted:
            with contextlib.suppress(BugUnknown):
                self.connection.ring(self.store.cancel(bug_id)[1])
        for bug_id in submitted:
            wait_until(f"{bug_id} has ended", lambda bug_id=bug_id: self._has_ended(bug_id))  # type: ignore[misc]

    def _has_ended(self, bug_id: str) -> bool:
        try:
            return self.store.bug(bug_id).state in TERMINAL
        except BugUnknown:
            return True

    # -- what is left ----------------------------------------------------------------------

    def left_of(self, node: NodeProcess) -> list[str]:
        """Processes, files and queues of a node that ended."""
        work = self.work_dir(node.name)
        # Not rglob, which fails when what it looks into is removed meanwhile.
        found = [
            os.path.join(folder, name)  # noqa: PTH118 - as text
            for folder, folders, files in os.walk(work)
            for name in (*folders, *files)
        ]
        left = [path for path in found if "spool" not in path]
        for process in psutil.process_iter():
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                told = [*process.cmdline(), process.environ().get("FIXWURX_MARK", "")]
                is_its = os.getsid(process.pid) == node.process.pid
                if is_its or any(str(work) in word for word in told):
                    left.append(f"{process.pid}: {process.cmdline()}")
            except (psutil.Error, OSError):
                continue
        client = self.store.client
        left += client.scan_iter(match=f"{self.store.prefix}celery:*{node.name}*")
        bindings = f"{self.store.prefix}celery:_kombu.binding.fixwurx.node"
        left += [name for name in client.smembers(bindings) if node.name in name]
        return left


@dataclasses.dataclass(frozen=True, slots=True)
class LongBug:
    """A bug under way, with children that ignore SIGTERM, one of them in a session of its own."""

    cluster: LiveCluster
    id: str
    mark: str
    gate: Path

    def record(self) -> BugRecord:
        return self.cluster.store.bug(self.id)

    def processes(self) -> set[int]:
        return set(having(self.mark))

    def charged(self) -> tuple[int, int]:
        """Attempts and losses."""
        record = self.record()
        return record.attempts, record.losses

    def runs_again(self, within_s: float = 15) -> BugRecord:
        """Its second run, once that is under way."""

        def look() -> BugRecord | None:
            record = self.record()
            return record if record.state is BugState.RUNNING and record.runs == 2 else None

        return wait_until(f"{self.id} runs again", look, within_s=within_s)

    def end(self, within_s: float = 20) -> BugRecord:
        """Lets it end, and how it did."""
        self.gate.touch()
        return self.cluster.wait(self.id, within_s)
