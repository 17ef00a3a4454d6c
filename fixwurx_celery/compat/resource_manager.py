"""FixWurx's `resource_manager`."""

from fixwurx_celery.cluster import ResourceManager
from fixwurx_celery.domain.bugs import AGENTS_PER_BUG

__all__ = ["AGENTS_PER_BUG", "ResourceManager"]
