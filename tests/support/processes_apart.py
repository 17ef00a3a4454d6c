"""Work done by many processes at once."""

import multiprocessing
import os
import traceback
from collections.abc import Callable, Sequence

from tests.support.waiting import wait_until

APART = multiprocessing.get_context("fork")


def all_at_once(
    jobs: Sequence[Callable[[], None]],
    *,
    within_s: float = 60,
    kill: Callable[[int], bool] | None = None,
) -> None:
    """Runs each job in a process of its own, started together. Fails when one does.

    `kill` is asked, again and again, whether to kill the job of that number with SIGKILL.
    """
    ready = APART.Barrier(len(jobs) + 1)
    processes = [APART.Process(target=_run, args=(job, ready), daemon=True) for job in jobs]
    for process in processes:
        process.start()
    killed: set[int] = set()
    try:
        ready.wait(timeout=30)

        def over() -> bool:
            for number, process in enumerate(processes):
                if kill and number not in killed and process.is_alive() and kill(number):
                    process.kill()
                    killed.add(number)
            return not any(process.is_alive() for process in processes)

        wait_until(f"{len(jobs)} processes are done", over, within_s=within_s)
    finally:
        for process in processes:
            process.kill()
            process.join(timeout=10)
    bad = [n for n, process in enumerate(processes) if process.exitcode and n not in killed]
    assert not bad, f"processes {bad} failed; their traces are above"


def _run(job: Callable[[], None], ready: "multiprocessing.synchronize.Barrier") -> None:
    try:
        ready.wait(timeout=30)
        job()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
