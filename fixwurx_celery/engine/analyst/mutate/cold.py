"""Runs edits as whole commands, for commands that only a shell understands."""

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from fixwurx_celery.engine.analyst.base import Case
from fixwurx_celery.engine.analyst.mutate.runs import NOT_COPIED, Ran, Run
from fixwurx_celery.engine.process import Processes, ProcessLostError, Running
from fixwurx_celery.engine.untrusted import write_file

SHORTEST_LIMIT_S = 3.0


class ColdPool:
    """Private copies of the tree, one command at a time in each."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.processes = Processes(case.sandbox)
        self.home = case.scratch / "cold"
        self.home.mkdir(parents=True, exist_ok=True)
        self.numbers = itertools.count()
        self.free = []
        for index in range(case.agents):
            root = self.home / f"copy{index}"
            self._copy_to(root)
            self.free.append(root)
        self.running: list[tuple[Running, Any, Path, Mapping[str, str], float]] = []
        seconds = case.observation.seconds if case.observation else 10.0
        timed_out = case.observation.timed_out if case.observation else False
        self.limit = min(30.0, 10.0 if timed_out else max(SHORTEST_LIMIT_S, 4 * seconds))

    def room(self) -> int:
        """Return how many more commands may be started now."""
        return len(self.free)

    def submit(self, run: Run, tag: Any) -> None:
        """Start the command in a free copy with the sources of `run`; its limits are our own."""
        root = self.free.pop()
        for name, text in run.sources.items():
            self._write(root, name, text.encode())
        command = self.processes.start(
            self.case.reproduce,
            cwd=root,
            env=self.case.environment,
            output=self.home / f"out{next(self.numbers) % 64}",
            timeout_s=self.limit,
            keep_bytes=1 << 16,
        )
        self.running.append((command, tag, root, run.sources, monotonic()))

    def _copy_to(self, root: Path) -> None:
        shutil.copytree(self.case.source, root, symlinks=True, ignore=NOT_COPIED)
        self.case.sandbox.give(root)

    def _write(self, root: Path, name: str, data: bytes) -> None:
        """Write over a file of the copy; where the command put something else, copy anew."""
        try:
            write_file(root, name, data)
        except OSError:
            shutil.rmtree(root, ignore_errors=True)
            self._copy_to(root)
            write_file(root, name, data)

    def poll(self, timeout: float) -> list[tuple[Any, Ran]]:
        """Return the commands that ended, waiting up to `timeout` seconds for the first."""
        done: list[tuple[Any, Ran]] = []
        for entry in list(self.running):
            command, tag, root, sources, started = entry
            try:
                finished = command.wait(0.0 if done else timeout / len(self.running))
            except ProcessLostError:
                verdict, late = "crash", False
            else:
                if finished is None:
                    continue
                verdict, late = ("pass" if finished.passed else "fail"), finished.timed_out
            self.running.remove(entry)
            for name in sources:
                self._write(root, name, (self.case.source / name).read_bytes())
            self.free.append(root)
            seconds = monotonic() - started
            done.append((tag, Ran(verdict=verdict, late=late, seconds=seconds, says=())))
        return done

    def close(self) -> None:
        """End every command and remove the copies."""
        self.processes.end_all()
        shutil.rmtree(self.home, ignore_errors=True)
