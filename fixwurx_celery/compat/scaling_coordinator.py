"""FixWurx's `scaling_coordinator`."""

from fixwurx_celery.cluster import ScalingCoordinator
from fixwurx_celery.domain.nodes import WorkerNode, WorkerState

__all__ = ["ScalingCoordinator", "WorkerNode", "WorkerState"]
