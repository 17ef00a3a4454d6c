"""FixWurx's `resource_manager_extension`."""

from fixwurx_celery.cluster import ClusterResourceManager

__all__ = ["ClusterResourceManager"]
