"""FixWurx on Celery: bugs in, verified patches out, agents never over-committed.

Importing this package connects to nothing, starts nothing and loads nothing heavy: each public name
is imported when it is first asked for. `celery -A fixwurx_celery` finds the node's application as
`app`, made from FIXWURX_* variables.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "AsyncBugQueue",
    "BalancingStrategy",
    "Bug",
    "BugHandle",
    "BugState",
    "ClusterEngineView",
    "ClusterResourceManager",
    "Connection",
    "LoadBalancer",
    "MetricBus",
    "Outcome",
    "ParallelExecutor",
    "ResourceManager",
    "ScalingCoordinator",
    "Settings",
    "WorkerNode",
    "WorkerState",
    "__version__",
    "app",
]

HOMES = {
    "AsyncBugQueue": "integrations.async_bug_queue",
    "BalancingStrategy": "domain.nodes",
    "Bug": "domain.bugs",
    "BugHandle": "cluster",
    "BugState": "domain.bugs",
    "ClusterEngineView": "metrics",
    "ClusterResourceManager": "cluster",
    "Connection": "cluster",
    "LoadBalancer": "cluster",
    "MetricBus": "metrics",
    "Outcome": "domain.bugs",
    "ParallelExecutor": "integrations.parallel_executor",
    "ResourceManager": "cluster",
    "ScalingCoordinator": "cluster",
    "Settings": "settings",
    "WorkerNode": "domain.nodes",
    "WorkerState": "domain.nodes",
}

if TYPE_CHECKING:
    from celery import Celery

    from fixwurx_celery.cluster import (
        BugHandle,
        ClusterResourceManager,
        Connection,
        LoadBalancer,
        ResourceManager,
        ScalingCoordinator,
    )
    from fixwurx_celery.domain.bugs import Bug, BugState, Outcome
    from fixwurx_celery.domain.nodes import BalancingStrategy, WorkerNode, WorkerState
    from fixwurx_celery.integrations.async_bug_queue import AsyncBugQueue
    from fixwurx_celery.integrations.parallel_executor import ParallelExecutor
    from fixwurx_celery.metrics import ClusterEngineView, MetricBus
    from fixwurx_celery.settings import Settings

    app: Celery


def __getattr__(name: str) -> Any:
    if name == "app":
        from fixwurx_celery.settings import Settings
        from fixwurx_celery.worker.app import node_app

        settings = Settings.from_environment()
        found: Any = node_app(settings)
        if "flower.command" in sys.modules:  # `celery -A fixwurx_celery flower`, perhaps
            import_module(f"{__name__}.dashboard.installing").install(settings)
    elif name in HOMES:
        found = getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
