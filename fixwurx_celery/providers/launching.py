"""What a node is started with, whoever starts it."""

from fixwurx_celery.providers.base import LaunchOrder

__all__ = ["node_command", "node_environment"]


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
