"""Work cut into ticks: a generator that yields wherever the engine may report and obey."""

from collections.abc import Generator
from typing import TypeAlias, TypeVar

from fixwurx_celery.engine.process import Finished, Running

T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]

TICK_S = 1.0  # how long a step waits for something outside before it yields


def until_finished(running: Running) -> Steps[Finished]:
    """Wait for a command across ticks; it is ended when the wait is abandoned."""
    try:
        while (finished := running.wait(TICK_S)) is None:
            yield
        return finished
    finally:
        running.end()
