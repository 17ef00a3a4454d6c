"""The truth: state in Redis or Valkey, changed by Lua scripts only."""

from fixwurx_celery.store.cluster_store import ClusterStore, connect
from fixwurx_celery.store.records import (
    BugRecord,
    Event,
    Running,
    Snapshot,
    Started,
    Submission,
    Sweep,
)

__all__ = [
    "BugRecord",
    "ClusterStore",
    "Event",
    "Running",
    "Snapshot",
    "Started",
    "Submission",
    "Sweep",
    "connect",
]
