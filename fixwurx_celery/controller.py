"""The controller: the Celery worker that carries out what beat schedules.

    celery -A fixwurx_celery.controller worker -B

It consumes the control queue alone, so its ticks never wait behind bugs. Any number of controllers
and beats may run: each tick is claimed in the store, and one that comes late is dropped. Scaling
may wait for its provider, so it has a thread of its own.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery import Celery, signals
from kombu.entity import Queue

from fixwurx_celery.broker import CONTROL_QUEUE, Doorbells, doorbell, make_app
from fixwurx_celery.cluster import Connection
from fixwurx_celery.cluster.scaler import Scaler
from fixwurx_celery.cluster.state_file import StateFile
from fixwurx_celery.errors import ConfigurationError, StoreUnavailable
from fixwurx_celery.logs import Outage, words
from fixwurx_celery.metrics import server_of
from fixwurx_celery.processes import die_with_parent
from fixwurx_celery.pulse import Pulse, Role
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.health import health_check, log_sweep
from fixwurx_celery.store.scaling_state import ScalingState
from fixwurx_celery.worker.celery_logs import connect_logs

__all__ = ["app", "controller_app"]

log = logging.getLogger(__name__)

SWEEP = "fixwurx.sweep"
SCALE = "fixwurx.scale"
SYNC = "fixwurx.sync"
SWEEP_AT_ONCE = 1000
MOST_BETWEEN_SWEEPS_S = 1.0
"""So long at most is nobody heard when no node is left to sweep."""

if TYPE_CHECKING:
    app: Celery


def controller_app(settings: Settings) -> Celery:
    """The application whose workers are controllers. Connects to nothing yet."""
    app = make_app(settings, "fixwurx_celery.controller")
    health_s = settings.health_check_interval_sec
    sweep_s = min(health_s, MOST_BETWEEN_SWEEPS_S, settings.heartbeat_timeout_sec / 4)
    app.conf.update(
        task_queues=[Queue(CONTROL_QUEUE)],
        worker_concurrency=1,
        worker_pool="solo",
        worker_consumer="fixwurx_celery.worker.app:NodeConsumer",
        beat_schedule={
            name: {
                "task": task,
                "schedule": every_s,
                # A tick that was not taken within its own period is worthless: the next one is due.
                # `expiration` is the broker's, where it can (RabbitMQ): they do not pile up while
                # nobody takes them.
                "options": {"expires": every_s, "expiration": every_s},
            }
            for name, task, every_s in (
                ("sweep", SWEEP, sweep_s),
                ("scale", SCALE, settings.scaling_interval_sec),
                *([("sync", SYNC, settings.sync_interval_sec)] if settings.state_path else []),
            )
        },
    )
    holder = f"{socket.gethostname()}:{os.getpid()}"
    store = ClusterStore.from_settings(settings, bell=doorbell(settings))
    doorbells = Doorbells(app)
    pulse = Pulse(settings, Role.CONTROLLER)

    @app.task(name=SWEEP, ignore_result=True)  # type: ignore[untyped-decorator, unused-ignore]
    def sweep() -> None:
        """Brings in order what time has changed; and mends, if nobody else does in this period."""
        swept = store.sweep(SWEEP_AT_ONCE)
        doorbells.ring(swept.assignments)
        log_sweep(swept)
        for node in swept.queues:
            if doorbells.forget(node):
                store.forget_queue(node)
        doorbells.ring(health_check(store, holder, health_s) or [])
        pulse.beat()

    file = StateFile(Path(settings.state_path), ScalingState(store))

    @app.task(name=SYNC, ignore_result=True)  # type: ignore[untyped-decorator, unused-ignore]
    def sync() -> None:
        """Keeps the state of scaling in FIXWURX_STATE_PATH too."""
        try:
            file.sync()
        except ConfigurationError as error:
            log.error(words(f"the state of scaling is not kept: {error}"))

    scaling = OneAtATime(scale_once(settings))

    @app.task(name=SCALE, ignore_result=True)  # type: ignore[untyped-decorator, unused-ignore]
    def scale() -> None:
        """Decides how many nodes there should be, and has the provider see to it."""
        if not scaling.start():
            log.warning("a scaling tick is left out: the one before still waits for the provider")

    _end_beat_with_its_controller()
    connect_logs(app, settings, is_node=False, ticks=(SWEEP, SCALE, SYNC))
    if settings.metrics_listen:
        _serve_metrics(settings)
    return app


def _serve_metrics(settings: Settings) -> None:
    """From when the worker is ready, after its beat was forked: that must not keep the socket."""
    server = server_of(settings)

    def start(**_: Any) -> None:
        server.start_when_possible()

    def stop(**_: Any) -> None:
        server.stop()

    signals.worker_ready.connect(start, weak=False)
    signals.worker_shutdown.connect(stop, weak=False)


def _end_beat_with_its_controller() -> None:
    """The beat that `-B` brings is a process of its own. It ends with a controller that is killed:
    whoever starts that again starts another beat too."""
    controller = 0

    def remember(**_: Any) -> None:
        nonlocal controller
        controller = os.getpid()

    def follow(**_: Any) -> None:
        die_with_parent(controller)

    signals.worker_init.connect(remember, weak=False)
    signals.beat_embedded_init.connect(follow, weak=False)


class OneAtATime:
    """Runs a function in a thread of its own, unless it still runs."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._thread: threading.Thread | None = None

    def start(self) -> bool:
        """Whether it was started."""
        if self._thread is not None and self._thread.is_alive():
            return False
        self._thread = threading.Thread(target=self._work, name="scaling", daemon=True)
        self._thread.start()
        return True


def scale_once(settings: Settings) -> Callable[[], None]:
    """A scaling tick that survives whatever happens in it: the next one begins anew."""
    scaler: Scaler | None = None
    outage = Outage(log)

    def work() -> None:
        nonlocal scaler
        try:
            if scaler is None:
                connection = Connection(settings)
                if settings.state_path:  # before an empty store gets an id of its own
                    StateFile(Path(settings.state_path), ScalingState(connection.store)).sync()
                scaler = Scaler(connection)
            scaler.tick()
            outage.end("scaling decisions are taken again")
        except StoreUnavailable as error:
            outage.begin(words(f"no scaling decision: {error}"))
        except ConfigurationError as error:  # an unreadable file may know of nodes that run
            log.error(words(f"no scaling decision: {error}"))
        except Exception:  # one tick must not end those to come
            log.exception("no scaling decision: unexpected trouble")

    return work


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["app"] = made = controller_app(Settings.from_environment())
    return made
