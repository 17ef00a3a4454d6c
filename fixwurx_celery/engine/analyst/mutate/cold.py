"""Runs edits as whole commands, for commands that only a shell understands."""

import itertools
import shutil
from collections.abc import Mapping
from time import monotonic
from typing import Any

from fixwurx_celery.engine.analyst.base import Case
from fixwurx_celery.engine.analyst.mutate.runs import NOT_COPIED, Ran, Run
from fixwurx_celery.engine.process import Processes, ProcessLostError, Running

SHORTEST_LIMIT_S = 3.0


class ColdPool:
    """Private copies of the tree, one command at a time in each."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.processes = Processes()
        self.home = case.scratch / "cold"
        self.home.mkdir(parents=True, exist_ok=True)
        self.numbers = itertools.count()
        self.free = []
        for index in range(case.agents):
            root = self.home / f"copy{index}"
            shutil.copytree(case.source, root, symlinks=True, ignore=NOT_COPIED)
            self.free.append(root)
        self.running: list[tuple[Running, Any, Any, Mapping[str, bytes], float]] = []
        seconds = case.observation.seconds if case.observation else 10.0
        timed_out = case.observation.timed_out if case.observation else False
        self.limit = min(30.0, 10.0 if timed_out else max(SHORTEST_LIMIT_S, 4 * seconds))

    def room(self) -> int:
        """Return how many more commands may be started now."""
        return len(self.free)

    def submit(self, run: Run, tag: Any) -> None:
        """Start the command in a free copy with the sources of `run`; its limits are our own."""
        root = self.free.pop()
        originals = {}
        for name, text in run.sources.items():
            originals[name] = (root / name).read_bytes()
            (root / name).write_bytes(text.encode())
        command = self.processes.start(
            self.case.reproduce,
            cwd=root,
            env=self.case.environment,
            output=self.home / f"out{next(self.numbers) % 64}",
            timeout_s=self.limit,
            keep_bytes=1 << 16,
        )
        self.running.append((command, tag, root, originals, monotonic()))

    def poll(self, timeout: float) -> list[tuple[Any, Ran]]:
        """Return the commands that ended, waiting up to `timeout` seconds for the first."""
        done: list[tuple[Any, Ran]] = []
        for entry in list(self.running):
            command, tag, root, originals, started = entry
            try:
                finished = command.wait(0.0 if done else timeout / len(self.running))
            except ProcessLostError:
                verdict, late = "crash", False
            else:
                if finished is None:
                    continue
                verdict, late = ("pass" if finished.passed else "fail"), finished.timed_out
            self.running.remove(entry)
            for name, data in originals.items():
                (root / name).write_bytes(data)
            self.free.append(root)
            seconds = monotonic() - started
            done.append((tag, Ran(verdict=verdict, late=late, seconds=seconds, says=())))
        return done

    def close(self) -> None:
        """End every command and remove the copies."""
        self.processes.end_all()
        shutil.rmtree(self.home, ignore_errors=True)
