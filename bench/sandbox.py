"""What the sandbox costs: a command's start, a candidate's verification, a run in a warm host.

Confined and not, taking turns in one process, so that the difference is of the sandbox alone.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.figures import Figure, Report, median, percentile
from fixwurx_celery.engine.analyst.base import Candidate
from fixwurx_celery.engine.analyst.mutate.command_line import PytestCommand
from fixwurx_celery.engine.analyst.mutate.runs import Run
from fixwurx_celery.engine.analyst.mutate.warm import Pool
from fixwurx_celery.engine.payload import parse
from fixwurx_celery.engine.process import Processes
from fixwurx_celery.engine.sandbox import UNCONFINED, Sandbox, open_sandbox, why_none
from fixwurx_celery.engine.steps import Steps
from fixwurx_celery.engine.verifier import Survivor, Verifier
from fixwurx_celery.engine.workspace import Workspace
from fixwurx_celery.settings import Settings

__all__ = ["measure"]

FIX = "--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-X = 0\n+X = 1\n"
TEST = "import m\n\n\ndef test():\n    assert m.X == 1\n"
LIMIT_S = 60.0


class Bench:
    """One kind of attempt: confined, or not."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        folder.mkdir()
        self.workspace = Workspace(folder, sandbox)
        self.processes = Processes(self.workspace.sandbox)
        source = self.workspace.source
        source.mkdir()
        (source / "m.py").write_text("X = 0\n")
        (source / "test_m.py").write_text(TEST)
        self.workspace.seal()
        self.copy = self.workspace.copy()
        self.numbers = 0

    def start(self) -> float:
        """Milliseconds of a command that does nothing, from its start to its result."""
        began = time.perf_counter()
        running = self.processes.start(
            "true",
            cwd=self.copy,
            env=self.workspace.environment,
            output=self.workspace.out / "true",
            timeout_s=LIMIT_S,
        )
        finished = running.wait(LIMIT_S)
        assert finished is not None, "true has not ended"
        assert finished.passed, "true has failed"
        return (time.perf_counter() - began) * 1000

    def verify(self) -> float:
        """Milliseconds of a candidate's way through the verifier, its tests being next to none."""
        work = parse({"source": {"path": "/"}, "reproduce": "grep -q 1 m.py", "files": ["m.py"]})
        verifier = Verifier(
            work, self.workspace, self.processes, agents=1, refused=(), log=lambda _: None
        )
        candidate = Candidate(diff=FIX, description="", score=1.0)
        began = time.perf_counter()
        survivor = to_its_end(verifier.first_survivor([candidate]))
        assert survivor is not None, "the fix was refused"
        return (time.perf_counter() - began) * 1000

    @contextmanager
    def warm(self) -> Iterator[Callable[[], float]]:
        """Milliseconds of a run in a warm host."""
        pool = Pool(
            source=self.workspace.source,
            scratch=self.workspace.scratch / "warm",
            command=PytestCommand(python=(sys.executable,), args=("-q",), environment={}),
            edited=("m.py",),
            environment=self.workspace.environment | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            count=1,
            log=lambda _: None,
            processes=self.processes,
        )

        def run() -> float:
            began = time.perf_counter()
            pool.submit(Run(sources={"m.py": "X = 1\n"}, cpu=10.0, wall=LIMIT_S), 0)
            while not (done := pool.poll(LIMIT_S)):
                assert not pool.refused, pool.refused
            assert done[0][1].passed, "the fix fails in a warm host"
            return (time.perf_counter() - began) * 1000

        try:
            while not pool.ready:
                assert not pool.refused, pool.refused
                pool.poll(1.0)
            yield run
        finally:
            pool.close()


def measure(*, quick: bool = False) -> Report:
    """The figures. On a host without bubblewrap there is nothing to measure, and that is said."""
    report = Report(
        name="sandbox",
        title="The sandbox",
        command="python -m bench sandbox",
        setup={"as": "root" if os.getuid() == 0 else "a user", "none because": why_none() or "-"},
    )
    if why_none():
        return report
    with tempfile.TemporaryDirectory(prefix="fixwurx-bench-") as folder:
        free = Bench(Path(folder, "free"), UNCONFINED)
        bound = Bench(Path(folder, "bound"), open_sandbox(Settings()))
        starts = taking_turns(report, "start", free.start, bound.start, 3 if quick else 100)
        verified = taking_turns(report, "verify", free.verify, bound.verify, 1 if quick else 20)
        with free.warm() as free_run, bound.warm() as bound_run:
            warm = taking_turns(report, "warm run", free_run, bound_run, 3 if quick else 200)
    added = [after - before for before, after in starts]
    report.figures = [
        Figure(
            what="added to a command's start, p50", value=median(added), unit="ms", at_most=30,
            note=f"{told(starts)}; p90 {percentile(added, 90):.1f} added",
        ),
        Figure(
            what="added to a candidate's verification, p50",
            value=median([after - before for before, after in verified]), unit="ms",
            note=f"{told(verified)}: git in four sandboxes, and reproduce twice",
        ),
        Figure(
            what="a run in a warm host, confined against not",
            value=median([after / before for before, after in warm]), unit="×", at_most=1.15,
            note=told(warm),
        ),
    ]  # fmt: skip
    return report


def to_its_end(steps: Steps[Survivor | None]) -> Survivor | None:
    """What the steps come to."""
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            survivor: Survivor | None = ended.value
            return survivor


def taking_turns(
    report: Report, what: str, free: Callable[[], float], bound: Callable[[], float], rounds: int
) -> list[tuple[float, float]]:
    """Milliseconds of both, round by round; the first is thrown away."""
    free(), bound()
    pairs = [(free(), bound()) for _ in range(rounds)]
    report.rounds += [pair(what, before, after) for before, after in pairs]
    return pairs


def pair(what: str, before: float, after: float) -> dict[str, Any]:
    """A round, as it is recorded."""
    return {"what": what, "unconfined_ms": round(before, 2), "confined_ms": round(after, 2)}


def told(pairs: list[tuple[float, float]]) -> str:
    """Both medians."""
    before, after = (statistics.median(side) for side in zip(*pairs, strict=True))
    return f"{after:.1f} ms confined, {before:.1f} ms not"
