"""Serves a page of metrics over HTTP: to whoever may read it, and in the way of nobody."""

import hmac
import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Final

from fixwurx_celery.addresses import ListenAddress

__all__ = ["MetricsServer"]

PATH: Final = "/metrics"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
CLIENT_S: Final = 10.0
"""A client that says nothing for so long is left."""
MOST_AT_ONCE: Final = 16
"""Each request has a thread."""
BIND_AGAIN_S: Final = 5.0

log = logging.getLogger(__name__)


class MetricsServer:
    """A page at http://address/metrics. With a token, only for those who send it."""

    def __init__(self, address: ListenAddress, page: Callable[[], bytes], token: str = "") -> None:
        """`page` is called once for each request, in a thread of its own."""
        self.address = address
        self._page, self._token = page, token.encode("utf-8")
        self._server: Server | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listens, and serves in threads until `stop`. Raises OSError when it cannot listen."""
        self._begin(self._listen().serve)

    def start_when_possible(self) -> None:
        """As `start`, but tries until it can listen: another process of this host may have the
        address, and end before this one."""
        self._begin(self._listen_and_serve)

    def stop(self) -> None:
        """Listens no more."""
        self._stopping.set()
        if self._server is not None:
            self._server.shutdown()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _begin(self, work: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=work, name="metrics", daemon=True)
        self._thread.start()

    def _listen(self) -> "Server":
        self._server = Server(self.address, self._page, self._token)
        self.address = ListenAddress(self.address.host, self._server.server_port)
        log.info("metrics are at http://%s%s", self.address, PATH)
        return self._server

    def _listen_and_serve(self) -> None:
        is_told = False
        while not self._stopping.is_set():
            try:
                server = self._listen()
            except OSError as error:
                if not is_told:
                    log.warning("metrics are not served yet at %s: %s", self.address, error)
                is_told = True
                self._stopping.wait(BIND_AGAIN_S)
            else:
                server.serve()
                return


class Server(ThreadingHTTPServer):
    """The library's, with a bound on how many requests are answered at once."""

    daemon_threads = True

    def __init__(self, address: ListenAddress, page: Callable[[], bytes], token: bytes) -> None:
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self.page, self.token = page, token
        self._free = threading.BoundedSemaphore(MOST_AT_ONCE)
        super().__init__((address.host, address.port), Handler)

    def serve(self) -> None:
        """Until it is shut down."""
        with self:
            self.serve_forever(poll_interval=0.2)

    def server_bind(self) -> None:
        """As HTTPServer's, without asking a name server what this host is called."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Starts a thread for the request; hangs up where too many have one."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answers it."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A client that hangs up is nothing to tell anybody of."""
        log.debug("a request for metrics was not answered", exc_info=True)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    timeout = CLIENT_S

    def do_GET(self) -> None:
        """The page, or why not."""
        if not self._may_read():
            self._answer(401, b"send the token as `Authorization: Bearer ...`\n")
        elif self.path.partition("?")[0] != PATH:
            self._answer(404, f"metrics are at {PATH}\n".encode())
        else:
            try:
                page = self.server.page()
            except Exception:  # the next scrape asks again
                log.exception("a scrape found no metrics: unexpected trouble")
                self._answer(500, b"see the log\n")
            else:
                self._answer(200, page)

    def _may_read(self) -> bool:
        given = self.headers.get("Authorization", "").encode("utf-8", "replace")
        return not self.server.token or hmac.compare_digest(given, b"Bearer " + self.server.token)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", CONTENT_TYPE if status == 200 else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are no news."""
