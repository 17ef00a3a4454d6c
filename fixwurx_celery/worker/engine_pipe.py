"""What a runner and the process of its engine say to each other.

    runner                                           engine host
      ── job: id, agents, payload, checkpoint ... ──▶
      ◀── phase, heeds ──                               before the first tick
      ◀── phase, checkpoint ──                          after ticks, every two seconds
      ◀── phase, checkpoint, waits ──                   the phase is another one
      ── go on ──▶                                      the store has been told
      ── CANCELLED, TIMED_OUT or MOVED ──▶              at any time: obeyed between ticks
      ◀── done, clean ── or ◀── stopped ──

A new phase waits for the runner, so that all of them come to the store in their order, and no tick
of one is done before the store has what another node needs in order not to repeat the one before.
"""

import json
import os
import select
import socket
from collections.abc import Mapping
from enum import StrEnum
from multiprocessing.connection import Connection
from typing import Any, Final

__all__ = ["GO_ON", "End", "Keeper"]

GO_ON: Final = b"go on"


class End(StrEnum):
    """How a run comes to its end."""

    DONE = "done"  # by itself
    DIED = "died"  # with its process
    CANCELLED = "cancelled"  # these three by its runner, while the bug is still its own
    TIMED_OUT = "timed_out"
    MOVED = "moved"
    STALE = "stale"  # the bug is somebody else's, or may be: nothing of the run may live on
    CUT_OFF = "cut_off"


class Keeper:
    """The runner, as the engine's process has it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._poll = select.poll()
        self._poll.register(connection.fileno(), select.POLLIN)

    def next_job(self, idle_s: float) -> Mapping[str, Any]:
        """What to do. After so long without anything, this process ends."""
        if not self._connection.poll(idle_s):
            # A job sent from now on fails at its sender; one sent before this is still read.
            with socket.socket(fileno=os.dup(self._connection.fileno())) as door:
                door.shutdown(socket.SHUT_RD)
        return json.loads(self._receive())  # type: ignore[no-any-return]

    def tell(self, **message: Any) -> None:
        """Says it."""
        self._connection.send_bytes(json.dumps(message).encode())

    def order(self, *, wait: bool = False) -> End | None:
        """How the run is to end, if it is. Waits for an answer, or looks whether there is one."""
        if not wait and not self._poll.poll(0):
            return None
        said = self._receive()
        return None if said == GO_ON else End(said.decode())

    def _receive(self) -> bytes:
        try:
            return self._connection.recv_bytes()
        except EOFError:
            os._exit(0)
