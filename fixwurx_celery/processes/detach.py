"""A process that goes on when whoever started it does not."""

import os
from pathlib import Path

__all__ = ["detach"]


def detach(own_log: Path) -> None:
    """Goes on as nobody's child, in a session of its own; who started this process sees it end
    now that it listens."""
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    output = os.open(own_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)
    for own, into in ((null, 0), (output, 1), (output, 2)):
        os.dup2(own, into)
    os.close(null)
    os.close(output)
