"""How a node stops: what signals say to its main process, and to its pool processes.

    IN_SERVICE ──TERM, INT, shutdown──▶ DRAINING ──TERM or INT again, grace time over──▶ HURRYING
         └────────────────────────────────── QUIT ────────────────────────────────────────▲

The stage lies in memory that the pool processes share. By it they tell a signal that the whole
process group got, which is their node's and leaves their bugs alone, from one to themselves; and by
it they learn that their bugs must move, also while the store is away.
"""

import contextlib
import logging
import mmap
import os
import select
import signal
import time
from collections.abc import Callable
from enum import IntEnum
from types import FrameType
from typing import Any, Final

from billiard.common import REMAP_SIGTERM
from celery.apps.worker import install_worker_term_handler
from celery.platforms import EX_FAILURE, EX_OK

__all__ = ["Stage", "Stopping", "hear_signals", "see_to_end", "tell_own_signals"]

EXIT_STATUS: Final = {"SIGTERM": EX_OK, "SIGQUIT": EX_OK, "SIGINT": EX_FAILURE}
"""TERM and INT as with any Celery worker. What QUIT does is in order here, too."""

ONE_ORDER_S: Final = 0.5
"""Signals closer than this are one order: timeout(1) signals its child, and then its group."""

MAIN_HEARS_WITHIN_S: Final = 0.5
"""A signal to the group reaches pool and main process together; the latter needs so long at most to
say that it was one."""

POOL_ENDS_AFTER_S: Final = 5.0
NODE_ENDS_AFTER_S: Final = 15.0
"""What a node that hurries gives the processes of its pool, and itself, before they are ended."""
LEAVES_WITHIN_S: Final = 5.0

log = logging.getLogger(__name__)


class Stage(IntEnum):
    """How far a node is with stopping. It only rises."""

    IN_SERVICE = 0
    DRAINING = 1
    HURRYING = 2


class Stopping:
    """The node's stage. The main process raises it, also from a signal's handler."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)
        self._risen = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._signalled_at = -ONE_ORDER_S
        self._is_signalled = False

    @property
    def stage(self) -> Stage:
        """The present one."""
        return Stage(self._shared[0])

    def rise_to(self, stage: Stage) -> None:
        """Nothing happens when it is there already."""
        if stage > self.stage:
            self._shared[0] = stage
            os.eventfd_write(self._risen, 1)

    def hear(self, name: str) -> None:
        """The main process got this signal."""
        now = time.monotonic()
        is_another = self._is_signalled and now - self._signalled_at > ONE_ORDER_S
        is_quit = "SIGQUIT" in (name, REMAP_SIGTERM if name == "SIGTERM" else None)
        self.rise_to(Stage.HURRYING if is_another or is_quit else Stage.DRAINING)
        self._is_signalled, self._signalled_at = True, now

    def wait_for(self, stage: Stage, timeout_s: float | None = None) -> bool:
        """Whether that stage is reached, in this time. For one thread of the main process."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(self._risen, select.POLLIN)
        while self.stage < stage:
            left_s = None if deadline is None else deadline - time.monotonic()
            if left_s is not None and left_s <= 0:
                return False
            if poll.poll(None if left_s is None else left_s * 1000):
                os.eventfd_read(self._risen)
        return True


def hear_signals(worker: Any) -> None:
    """Makes every stop signal to this main process a warm shutdown, in Celery's words.

    Celery's cold one ends the pool from within the signal's handler, waits for a task that it has
    not yet seen accepted, and leaves what it ended to nobody. A node that hurries ends sooner.
    """
    for name, status in EXIT_STATUS.items():
        install_worker_term_handler(worker, sig=name, how="Warm", callback=None, exitcode=status)


def see_to_end(
    stopping: Stopping,
    grace_s: float,
    *,
    wake: Callable[[], None],
    pool_pids: Callable[[], list[int]],
    leave: Callable[[float], None],
) -> None:
    """Makes a node that stops end in bounded time, whatever hangs: the store, the broker, or Celery
    over either. Does not return; `wake` is called when a stage is reached."""
    stopping.wait_for(Stage.DRAINING)
    wake()
    stopping.wait_for(Stage.HURRYING, grace_s)
    stopping.rise_to(Stage.HURRYING)
    wake()
    time.sleep(POOL_ENDS_AFTER_S)
    for pid in pool_pids():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    time.sleep(NODE_ENDS_AFTER_S - POOL_ENDS_AFTER_S)
    log.error("this node cannot end in order: it ends as it is")
    leave(LEAVES_WITHIN_S)
    os._exit(EX_FAILURE)


def tell_own_signals(stopping: Stopping) -> None:
    """Makes this pool process ignore a TERM that its whole node got, and obey one of its own."""
    obey = signal.getsignal(signal.SIGTERM)
    if callable(obey):
        signal.signal(signal.SIGTERM, _heeding(stopping, obey))


def _heeding(
    stopping: Stopping, obey: Callable[[int, FrameType | None], Any]
) -> Callable[[int, FrameType | None], None]:
    def heed(number: int, frame: FrameType | None) -> None:
        deadline = time.monotonic() + MAIN_HEARS_WITHIN_S
        while stopping.stage is Stage.IN_SERVICE and time.monotonic() < deadline:
            time.sleep(0.01)
        if stopping.stage is not Stage.DRAINING:
            obey(number, frame)

    return heed
