"""FixWurx's `load_balancer`."""

from fixwurx_celery.cluster import LoadBalancer
from fixwurx_celery.domain.nodes import BalancingStrategy

__all__ = ["BalancingStrategy", "LoadBalancer"]
