"""The analyst seam: what is known about a failure goes in, candidate patches come out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fixwurx_celery.engine.base import JSON
from fixwurx_celery.engine.sandbox import Sandbox

Log = Callable[[str], None]


class AnalystError(RuntimeError):
    """The analyst could not do its work, so that it found nothing is no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the observer saw when the bug was reproduced, and the lines it suspects.

    Paths are relative to the root of the tree, with forward slashes. `traceback_lines` holds
    (path, line, depth), depth 0 being the innermost frame. `suspicion` runs from 0 to 1: from
    coverage of failing against passing tests where the command runs pytest, else from tracebacks
    alone. `files` are the source files that the failure touched, most suspicious first, test files
    excluded. Test ids are pytest node ids, empty where the command is not pytest.
    """

    failing_output: str
    exit_status: int
    seconds: float
    timed_out: bool = False
    traceback_lines: tuple[tuple[str, int, int], ...] = ()
    suspicion: Mapping[tuple[str, int], float] = field(default_factory=dict)
    failing_tests: tuple[str, ...] = ()
    passing_tests: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One failure put before an analyst.

    `source` is the pristine copy: analysts read it and never write to it. `scratch` is theirs for
    as long as the attempt lives. `environment` is the one that every command of the attempt runs
    in, `sandbox` what confines it. `resume` is what the analyst's own `checkpoint()` gave on an
    earlier node, or None.
    """

    bug_id: str
    source: Path
    scratch: Path
    reproduce: str
    verify: str
    files: tuple[str, ...]
    agents: int
    observation: Observation | None
    environment: Mapping[str, str]
    sandbox: Sandbox
    log: Log
    resume: JSON = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A proposed patch: `diff` applies with `git apply` at the root of the tree."""

    diff: str
    description: str
    score: float


class Analyst(Protocol):
    """Proposes patches in bounded steps; what it proposes is verified elsewhere, from clean."""

    @property
    def exhausted(self) -> bool:
        """True when no further step can yield a candidate."""
        ...

    @property
    def tried(self) -> int:
        """How many edits it has tried itself so far, believed in or not."""
        ...

    def step(self) -> Sequence[Candidate]:
        """Work for about a second and return the candidates it believes in, possibly none."""
        ...

    def checkpoint(self) -> JSON:
        """Return what a later life needs in order not to try the same again; a few KB at most."""
        ...

    def close(self) -> None:
        """End every process it started; harmless when repeated."""
        ...


AnalystFactory = Callable[[Case], Analyst]
