"""Puts the cluster's page into Flower, before its command reads what it was told."""

from typing import Any, Final

import flower.command
from tornado.options import options

from fixwurx_celery.settings import Settings

__all__ = ["install"]

PURGE_OFFLINE_S: Final = 60
"""Flower by itself shows a node that went for as long as it runs."""
MAX_TASKS: Final = 10_000
"""A tenth of what Flower keeps by itself. What became of bugs is in the store."""


def install(settings: Settings) -> None:
    """Flower's command makes our application from now on, with defaults of ours that its options,
    variables and configuration file may change.

    Celery's command line loads Flower's command first, then the application that `-A` names, which
    calls this; the command itself runs after both.
    """
    options.address = "127.0.0.1"
    options.purge_offline_workers = PURGE_OFFLINE_S
    options.max_tasks = MAX_TASKS

    def cluster_flower(**given: Any) -> Any:
        # Only now, because every other command of Celery's has Flower's loaded beside it.
        from fixwurx_celery.dashboard.application import ClusterFlower

        return ClusterFlower(settings, **given)

    flower.command.Flower = cluster_flower
