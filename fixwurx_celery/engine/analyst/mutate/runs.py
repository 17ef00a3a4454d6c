"""What a candidate's run is asked to do, and what became of it, however it is run."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

NOT_COPIED = shutil.ignore_patterns(
    ".git", ".hg", "__pycache__", "*.pyc", ".venv", "venv", "node_modules", ".pytest_cache", ".tox"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one forked child is asked to do; limits are seconds, `cpu` holds for each test."""

    sources: Mapping[str, str] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    only: bool = False
    sweep: bool = False
    trace: bool = False
    write_bytecode: bool = False
    cpu: float
    wall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What became of a run; `late` means that it was killed for its limits."""

    verdict: str
    late: bool
    seconds: float
    says: Sequence[Mapping[str, Any]]

    @property
    def passed(self) -> bool:
        """Whether every test asked for ran and passed, up to the end of the session."""
        return self.verdict == "pass" and not self.late


class Runs(Protocol):
    """Whatever runs candidates, several at a time, and gives their results in any order."""

    def room(self) -> int:
        """Return how many more runs may be submitted now."""
        ...

    def submit(self, run: Run, tag: Any) -> None:
        """Begin `run`; `poll` returns `tag` with its result."""
        ...

    def poll(self, timeout: float) -> list[tuple[Any, Ran]]:
        """Return the runs that ended, waiting up to `timeout` seconds for the first."""
        ...

    def close(self) -> None:
        """End everything that was started; harmless when repeated."""
        ...


class Idle:
    """Runs nothing: what an analyst has before it knows how to run its command."""

    def room(self) -> int:
        """Return 0: nothing can be run."""
        return 0

    def submit(self, run: Run, tag: Any) -> None:
        """Refuse; there is never room."""
        raise RuntimeError(f"nothing can be run yet, and {tag} came with {len(run.sources)} files")

    def poll(self, timeout: float) -> list[tuple[Any, Ran]]:
        """Return nothing, at once."""
        del timeout
        return []

    def close(self) -> None:
        """Do nothing."""
