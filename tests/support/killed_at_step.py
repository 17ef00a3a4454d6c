"""A job whose process is killed at each of its steps outwards, one after the other."""

import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Final

__all__ = ["killed_at_each_step"]

APART = multiprocessing.get_context("fork")
STEPS: Final = frozenset({"socket.connect", "http.client.send", "subprocess.Popen"})
MOST_STEPS: Final = 60


def killed_at_each_step(job: Callable[[], None]) -> Iterator[int]:
    """Runs the job again and again, each time in a process of its own that gets SIGKILL one step
    later; yields the step after each death. Ends when the job ran to its end, which it must.

    A step is whatever reaches out of the process: a connection, a request, another process.
    """
    for step in range(1, MOST_STEPS):
        process = APART.Process(target=_run, args=(job, step), daemon=True)
        process.start()
        process.join(timeout=60)
        assert process.exitcode in (0, -signal.SIGKILL), f"step {step}: {process.exitcode}"
        if process.exitcode == 0:
            return
        yield step
    raise AssertionError(f"a job of more than {MOST_STEPS} steps")


def _run(job: Callable[[], None], step: int) -> None:
    seen = 0

    def look(event: str, _: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in STEPS:
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)
    try:
        job()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
