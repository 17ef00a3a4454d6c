"""The truth: state in Redis or Valkey, changed by Lua scripts only."""

from fixwurx_celery.store.cluster_store import (
    BugRecord,
    ClusterStore,
    Snapshot,
    Submission,
    connect,
)

__all__ = ["BugRecord", "ClusterStore", "Snapshot", "Submission", "connect"]
