"""Who asks the supervisor: a connection each, with one question as a line of JSON."""

import contextlib
import json
import selectors
import socket
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Caller", "Callers"]

SPEAK_WITHIN_S: Final = 10.0
MOST_BYTES: Final = 4 * 2**20
LISTEN_FOR_S: Final = 1.0
"""An answer that is not taken in that time is taken by nobody."""


@dataclass(slots=True, kw_only=True, eq=False)
class Caller:
    """A connection, and what came on it."""

    connection: socket.socket
    since: float = field(default_factory=time.monotonic)
    text: bytes = b""

    @property
    def has_asked(self) -> bool:
        """Whether its question is whole."""
        return self.text.endswith(b"\n")


class Callers:
    """All of them. They are never waited for, but while they take an answer."""

    def __init__(self, listener: socket.socket, selector: selectors.BaseSelector) -> None:
        self._listener, self._selector = listener, selector
        self._callers: dict[int, Caller] = {}
        selector.register(listener, selectors.EVENT_READ)

    def __len__(self) -> int:
        return len(self._callers)

    def read(self, fd: int) -> Caller | None:
        """Takes what there is on this descriptor; the caller whose question is whole by that."""
        if fd == self._listener.fileno():
            self._accept()
            return None
        caller = self._callers[fd]
        try:
            data = caller.connection.recv(65536)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        had_asked = caller.has_asked
        caller.text += data
        if not data or len(caller.text) > MOST_BYTES:
            # Whoever hangs up half-way has asked nothing; and who hangs up later hears nothing.
            self.hang_up(caller)
            return None
        return caller if caller.has_asked and not had_asked else None

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            self._callers[connection.fileno()] = Caller(connection=connection)
            self._selector.register(connection, selectors.EVENT_READ)

    def answer(self, callers: Collection[Caller], answer: Mapping[str, Any]) -> None:
        """Tells them, as far as they still listen."""
        for caller in callers:
            if caller in self._callers.values():
                with contextlib.suppress(OSError):
                    caller.connection.settimeout(LISTEN_FOR_S)
                    caller.connection.sendall(json.dumps(answer).encode() + b"\n")
                self.hang_up(caller)

    def hang_up(self, caller: Caller) -> None:
        """Ends the call."""
        del self._callers[caller.connection.fileno()]
        self._selector.unregister(caller.connection)
        caller.connection.close()

    def drop_the_silent(self) -> None:
        """Ends the calls of those who ask nothing."""
        now = time.monotonic()
        for caller in list(self._callers.values()):
            if not caller.has_asked and now - caller.since > SPEAK_WITHIN_S:
                self.hang_up(caller)

    def close(self) -> None:
        """Nobody is heard any more."""
        self._selector.unregister(self._listener)
        self._listener.close()
        for caller in list(self._callers.values()):
            self.hang_up(caller)
