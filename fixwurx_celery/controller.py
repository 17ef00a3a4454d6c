"""The controller: the Celery worker that carries out what beat schedules.

    celery -A fixwurx_celery.controller worker -B

It consumes the control queue alone, so its ticks never wait behind bugs. Any number of controllers
and beats may run: each tick is claimed in the store, and one that comes late is dropped.
"""

import logging
import os
import socket
from typing import TYPE_CHECKING, Any

from celery import Celery
from kombu.entity import Queue

from fixwurx_celery.broker import CONTROL_QUEUE, Doorbells, doorbell, make_app
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore

__all__ = ["app", "controller_app"]

log = logging.getLogger(__name__)

SWEEP = "fixwurx.sweep"
SWEEP_AT_ONCE = 1000

if TYPE_CHECKING:
    app: Celery


def controller_app(settings: Settings) -> Celery:
    """The application whose workers are controllers. Connects to nothing yet."""
    app = make_app(settings, "fixwurx_celery.controller")
    every = settings.health_check_interval_sec
    app.conf.update(
        task_queues=[Queue(CONTROL_QUEUE)],
        worker_concurrency=1,
        worker_pool="solo",
        worker_consumer="fixwurx_celery.worker.app:NodeConsumer",
        beat_schedule={
            # A tick that was not taken within its own period is worthless: the next one is due.
            "sweep": {"task": SWEEP, "schedule": every, "options": {"expires": every}},
        },
    )
    holder = f"{socket.gethostname()}:{os.getpid()}"
    store = ClusterStore.from_settings(settings, bell=doorbell(settings))
    doorbells = Doorbells(app)

    @app.task(name=SWEEP, ignore_result=True)  # type: ignore[untyped-decorator, unused-ignore]
    def sweep() -> None:
        """Brings in order what time has changed, if nobody else does in this period."""
        if store.claim_tick("sweep", holder, int(every * 1000)) is None:
            return
        swept = store.sweep(SWEEP_AT_ONCE)
        doorbells.ring(swept.assignments)
        for node in swept.gone:
            log.warning("node %s was lost; its bugs go elsewhere", node)
            doorbells.forget(node)

    return app


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["app"] = made = controller_app(Settings.from_environment())
    return made
