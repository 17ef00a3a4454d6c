"""The network between a process and a server, as tests want it: whole, deaf, or cut."""

import contextlib
import socket
import threading
from dataclasses import dataclass, field

CHUNK = 65536


@dataclass(slots=True, eq=False)
class Link:
    """One connection through the proxy: what the client wrote goes to the server, and back."""

    client: socket.socket
    server: socket.socket
    is_deaf: bool = False
    """The server's answers do not arrive any more."""
    gate: threading.Event = field(default_factory=threading.Event)
    """Open: bytes pass. Shut: they wait, as in a network that lost its way."""
    seen: bytes = b""
    pumps: int = 2

    def end(self) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.gate.set()


class Proxy:
    """Listens on a port of its own, and passes everything on to `port` of this host.

    `swallow` loses the answer to one command; `go_silent` lets nothing pass, without a word to
    either side, and what was written arrives when it passes again; `freeze` does that for good, to
    the present connections alone; `cut` ends all connections and refuses others.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._door.getsockname()[1])
        self._lock = threading.Lock()
        self._links: set[Link] = set()
        self._frozen: set[Link] = set()
        self._wanted: list[bytes] = []
        self._is_silent = self._is_cut = self._is_closed = False
        self.swallowed = 0
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed = True
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._links |= self._frozen
        self._end_links()

    def swallow(self, command: bytes) -> None:
        """The next command with these bytes reaches the server, and its answer nobody."""
        with self._lock:
            self._wanted.append(command)

    def go_silent(self) -> None:
        """Nothing passes, on any connection, until `pass_on`."""
        with self._lock:
            self._is_silent = True
            for link in self._links:
                link.gate.clear()

    def freeze(self) -> None:
        """Nothing passes ever again on the present connections; new ones are not concerned."""
        with self._lock:
            for link in self._links:
                link.gate.clear()
            self._frozen |= self._links
            self._links.clear()

    def cut(self) -> None:
        """Ends all connections, and every new one at once, until `pass_on`."""
        self._is_cut = True
        self._end_links()

    def pass_on(self) -> None:
        """Everything passes again."""
        with self._lock:
            self._is_silent = self._is_cut = False
            for link in self._links:
                link.gate.set()

    def _end_links(self) -> None:
        with self._lock:
            links, self._links = self._links, set()
        for link in links:
            link.end()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            link = Link(client, server)
            with self._lock:
                if self._is_cut:
                    client.close()
                    server.close()
                    continue
                self._links.add(link)
                if not self._is_silent:
                    link.gate.set()
            for pump in (self._requests, self._answers):
                threading.Thread(target=pump, args=(link,), name="proxy-link", daemon=True).start()

    def _requests(self, link: Link) -> None:
        with contextlib.suppress(OSError):
            while data := link.client.recv(CHUNK):
                self._look_for_wanted(link, data)
                link.gate.wait()
                link.server.sendall(data)
        self._forget(link)

    def _answers(self, link: Link) -> None:
        with contextlib.suppress(OSError):
            while data := link.server.recv(CHUNK):
                link.gate.wait()
                if not link.is_deaf:
                    link.client.sendall(data)
        self._forget(link)

    def _look_for_wanted(self, link: Link, data: bytes) -> None:
        with self._lock:
            link.seen = (link.seen + data)[-2 * CHUNK :]
            for wanted in self._wanted:
                if wanted in link.seen:
                    self._wanted.remove(wanted)
                    link.is_deaf = True
                    self.swallowed += 1
                    break
            link.seen = link.seen[-256:]  # a command may come in two pieces

    def _forget(self, link: Link) -> None:
        link.gate.wait()  # the other side does not hear of the end before the network works
        link.end()
        with self._lock:
            self._links.discard(link)
            link.pumps -= 1
            if not link.pumps:
                link.client.close()
                link.server.close()
