"""What a node is started with, and the labels that say whose it is, whoever starts it."""

from typing import Final

from fixwurx_celery.providers.base import LaunchOrder

__all__ = ["CLUSTER", "LABEL_PREFIX", "NODE", "PROFILE", "node_command", "node_environment"]

LABEL_PREFIX: Final = "fixwurx."
CLUSTER, NODE, PROFILE = "fixwurx.cluster", "fixwurx.node", "fixwurx.profile"


def node_command(worker_id: str) -> list[str]:
    """The worker, as its operator would start it. Nothing in it is secret: any user of a host may
    read command lines."""
    return ["celery", "-A", "fixwurx_celery", "worker", "--loglevel", "INFO", "-n", worker_id]


def node_environment(order: LaunchOrder) -> dict[str, str]:
    """The order's, with what the spec says over it."""
    return {
        **order.environment,
        "FIXWURX_TOTAL_AGENTS": str(order.spec.agents),
        # An empty value would be the default, `python`.
        "FIXWURX_CAPABILITIES": ",".join(sorted(order.spec.capabilities)) or ",",
    }
