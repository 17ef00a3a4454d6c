"""The named services of FixWurx, over a real cluster."""

from fixwurx_celery.cluster.cluster_resource_manager import ClusterResourceManager
from fixwurx_celery.cluster.connection import Connection
from fixwurx_celery.cluster.handle import BugHandle
from fixwurx_celery.cluster.load_balancer import LoadBalancer
from fixwurx_celery.cluster.resource_manager import ResourceManager
from fixwurx_celery.cluster.scaling_coordinator import ScalingCoordinator

__all__ = [
    "BugHandle",
    "ClusterResourceManager",
    "Connection",
    "LoadBalancer",
    "ResourceManager",
    "ScalingCoordinator",
]
