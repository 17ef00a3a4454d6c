"""Flower, with the cluster's page in it."""

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import click
from flower.app import Flower, rewrite_handler
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import PeriodicCallback
from tornado.netutil import bind_unix_socket

from fixwurx_celery.cluster import Connection
from fixwurx_celery.dashboard.access import answers_to, refuse_open_door
from fixwurx_celery.dashboard.guarded import Stranger
from fixwurx_celery.dashboard.live import LivePicture
from fixwurx_celery.dashboard.reader import Reader
from fixwurx_celery.dashboard.routes import ROUTES
from fixwurx_celery.dashboard.tab import TabLoader
from fixwurx_celery.metrics import register
from fixwurx_celery.settings import Settings

__all__ = ["ClusterFlower"]

THREADS: Final = 4
TIDY_EVERY_MS: Final = 15_000
ENDS_WITHIN_S: Final = 3.0
SOCKET_MODE: Final = 0o660
"""Of `--unix_socket`: for its user, and for the group of the proxy. Flower's own is everybody's."""

Answer = TypeVar("Answer")


class ClusterFlower(Flower):  # type: ignore[misc]
    """Made by Flower's own command in place of its application (see `install`)."""

    def __init__(self, settings: Settings, *, options: Any, **given: Any) -> None:
        """Raises UsageError when others than this host could reach it without a login."""
        refuse_open_door(options)
        super().__init__(
            options=options, template_loader=TabLoader(given["template_path"]), **given
        )
        register(settings=settings)  # the cluster's metrics, beside Flower's own
        self.connection = Connection(settings, is_patient=False)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="cluster")
        # Of its own, so that artifacts or scrapes that hang do not hide the cluster.
        self._looking = ThreadPoolExecutor(1, thread_name_prefix="cluster-look")
        self.live = LivePicture(Reader(self.connection.store).read, self._looking)
        self._tidy = PeriodicCallback(self.forget_gone, TIDY_EVERY_MS)
        prefix = options.url_prefix
        self.add_handlers(
            r".*", [rewrite_handler(route, prefix) if prefix else route for route in ROUTES]
        )

    async def in_thread(self, work: Callable[..., Answer], *given: Any) -> Answer:
        """What blocks must not block the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *given)

    def find_handler(self, request: HTTPServerRequest, **given: Any) -> Any:
        """Flower's own pages, too, are not for every name that a web site gives this host."""
        if not answers_to(self.options, request.host):
            return self.get_handler_delegate(request, Stranger)
        return super().find_handler(request, **given)

    def start_http_server(self) -> int | None:
        """Listens where it was told; the port, if it is one. Raises UsageError when it cannot."""
        path = self.options.unix_socket
        try:
            if not path:
                return super().start_http_server()  # type: ignore[no-any-return]
            server = HTTPServer(self, xheaders=self.options.xheaders)
            server.add_socket(bind_unix_socket(path, mode=SOCKET_MODE))
        except (OSError, ValueError) as error:
            where = path or f"{self.options.address or '*'}:{self.options.port}"
            option = "--unix_socket" if path else "--port"
            raise click.UsageError(
                f"Flower cannot listen on {where}: {error}; end what does, or give another {option}"
            ) from error
        return None

    def start(self) -> None:
        """Serves until `stop`. What is there by now stays: the collector of garbage, which looks
        through all of it while viewers wait, need not.

        Threads that wait for a broker or a store that is away do not keep it from ending.
        """
        gc.freeze()
        self._tidy.start()
        # The first look, which takes longest, is over before somebody waits for it.
        self.io_loop.add_callback(self.live.begin)
        try:
            super().start()
        finally:
            self.stop()
            end = threading.Timer(ENDS_WITHIN_S, os._exit, [0])
            end.daemon = True
            end.start()

    def stop(self) -> None:
        """Harmless when repeated."""
        self._tidy.stop()
        for threads in (self._threads, self._looking):
            threads.shutdown(wait=False, cancel_futures=True)
        super().stop()

    def forget_gone(self) -> None:
        """Takes nodes that went off Flower's own pages, its memory and its metrics, which would
        keep them for as long as it runs."""
        keep_s = self.options.purge_offline_workers
        if keep_s is None:
            return
        self.purge_offline_worker_metrics()
        state, inspected = self.events.state, self.inspector.workers
        for name in {*state.counter, *state.workers, *inspected}:
            worker = state.workers.get(name)
            if worker is not None and worker.alive:
                continue
            heard = worker.heartbeats if worker is not None else ()
            last_s = max([*heard, inspected.get(name, {}).get("timestamp", 0.0)])
            if time.time() - last_s >= keep_s:
                state.counter.pop(name, None)
                state.workers.pop(name, None)
                inspected.pop(name, None)
