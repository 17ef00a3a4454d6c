"""Nodes under test that run scripted engines, and a client's way to them."""

import dataclasses
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fixwurx_celery.cluster import ClusterResourceManager, Connection
from fixwurx_celery.domain.bugs import Bug, BugState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import BugRecord
from tests.support.processes import NodeProcess, nodes
from tests.support.waiting import wait_until

__all__ = ["FOR_EVER", "NodeCluster"]

FOR_EVER: Final = 600


class NodeCluster:
    """Nodes under test, and a client's way to them."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.connection = Connection(settings)
        self.store = self.connection.store
        self.manager = ClusterResourceManager(connection=self.connection)

    @contextmanager
    def only_node(self, capability: str, **given: Any) -> Iterator[NodeProcess]:
        """A node with a capability that no other has."""
        settings = dataclasses.replace(self.settings, capabilities=frozenset({capability}), **given)
        with nodes(settings, self.store, self.folder, f"{capability}@here") as (node,):
            yield node

    def submit(self, *steps: dict[str, Any], **given: Any) -> str:
        bug = Bug(
            id=given.pop("id", f"b-{uuid.uuid4().hex[:8]}"),
            payload={"steps": list(steps), **given.pop("payload", {})},
            **given,
        )
        self.manager.enqueue(bug)
        return bug.id

    def wait(self, bug_id: str, within_s: float = 20) -> BugRecord:
        self.manager.handle(bug_id).wait(timeout=within_s)
        return self.store.bug(bug_id)

    def running(self, bug_id: str, run: int = 1, within_s: float = 20) -> BugRecord:
        def look() -> BugRecord | None:
            record = self.store.bug(bug_id)
            return record if record.state is BugState.RUNNING and record.runs >= run else None

        return wait_until(f"run {run} of {bug_id}", look, within_s=within_s)
