"""FixWurx's `parallel_executor`."""

from fixwurx_celery.integrations.parallel_executor import ParallelExecutor

__all__ = ["ParallelExecutor"]
