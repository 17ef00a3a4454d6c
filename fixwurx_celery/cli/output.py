"""Standard output as others read it: who has gone, and characters that it cannot show."""

import contextlib
import os
import select
import sys

__all__ = ["leave_nowhere", "pause", "tolerate"]


def pause(seconds: float) -> None:
    """Waits so long. Raises BrokenPipeError at once when nobody reads our output any more, `| head`
    for example: who writes nothing would not notice."""
    try:
        descriptor = sys.stdout.fileno()
    except OSError:  # no file: somebody caught our output
        descriptor = -1
    poll = select.poll()
    if descriptor >= 0:
        poll.register(descriptor, 0)  # that the reader hung up is told without asking
    for _, what in poll.poll(max(0.0, seconds) * 1000):
        if what & select.POLLERR:
            raise BrokenPipeError
    # A terminal that hung up sends a signal of its own.


def tolerate() -> None:
    """Has characters that an output's encoding does not know replaced instead of refused."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]


def leave_nowhere() -> None:
    """What is still to be written goes nowhere: its reader has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
