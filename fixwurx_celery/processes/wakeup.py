"""What ends the waiting of a process that looks after others: a death below it, an order to end."""

import contextlib
import signal
import socket
from typing import Final

__all__ = ["ORDERS_TO_END", "Wakeup"]

ORDERS_TO_END: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Wakeup:
    """Has its `fd` readable after a child died or a signal told this process to end. Made once, in
    the main thread."""

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self._orders: list[int] = []
        signal.set_wakeup_fd(self._write.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in ORDERS_TO_END:
            signal.signal(number, lambda number, _: self._orders.append(number))

    @property
    def fd(self) -> int:
        """For a selector."""
        return self._read.fileno()

    @property
    def is_told_to_end(self) -> bool:
        """Whether one of the signals has come."""
        return bool(self._orders)

    def clear(self) -> None:
        """What came so far has been seen."""
        with contextlib.suppress(BlockingIOError):
            self._read.recv(4096)

    def be_deaf(self) -> None:
        """It ends already: further orders change nothing."""
        for number in ORDERS_TO_END:
            signal.signal(number, signal.SIG_IGN)
