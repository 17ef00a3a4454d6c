"""The verifier: a candidate counts only after its tests passed on a clean copy of the source."""

import hashlib
import select
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from time import monotonic

from fixwurx_celery.engine.analyst.base import Candidate, Log
from fixwurx_celery.engine.edits import EditRules
from fixwurx_celery.engine.payload import Assignment
from fixwurx_celery.engine.process import Processes, Running
from fixwurx_celery.engine.steps import TICK_S, Steps
from fixwurx_celery.engine.workspace import PatchError, Workspace

SYMLINK, SUBMODULE = "120000", "160000"
LATER_GRACE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """A candidate that passed, with the patch as git words it."""

    candidate: Candidate
    patch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a candidate did not pass."""

    reason: str


Course = Generator[Running, None, Survivor | Refusal]


def digest(diff: str) -> str:
    """A short name for a diff, to know it again after a failover."""
    return hashlib.sha256(diff.encode(errors="surrogateescape")).hexdigest()[:12]


class Verifier:
    """Tries candidates, `agents` at a time, each in a clean copy with processes of its own."""

    def __init__(
        self,
        assignment: Assignment,
        workspace: Workspace,
        processes: Processes,
        *,
        agents: int,
        refused: Sequence[str],
        log: Log,
    ) -> None:
        self.refused = list(refused)
        self.tried = len(self.refused)
        self._assignment = assignment
        self._workspace = workspace
        self._processes = processes
        self._agents = agents
        self._log = log
        self._rules = EditRules(
            files=assignment.files, commands=(assignment.reproduce, assignment.verify)
        )

    def has_refused(self, candidate: Candidate) -> bool:
        """Tell whether the same diff was refused before, here or on an earlier node."""
        return digest(candidate.diff) in self.refused

    def first_survivor(self, candidates: Sequence[Candidate]) -> Steps[Survivor | None]:
        """Return the best candidate that passes everything, twice where it could be luck.

        Candidates start in the order of their scores. Once one has passed, no other starts; those
        with a better score that still run get as long again as it took.
        """
        waiting = sorted(candidates, key=lambda one: -one.score)
        while waiting:
            survivor, waiting = yield from self._race(waiting)
            if survivor is None:
                return None
            if (yield from self._passes_again(survivor)):
                return survivor
        return None

    def _race(self, waiting: list[Candidate]) -> Steps[tuple[Survivor | None, list[Candidate]]]:
        started = monotonic()
        best: Survivor | None = None
        until = float("inf")
        courses: list[tuple[Candidate, Course]] = []
        try:
            while waiting or courses:
                while waiting and best is None and len(courses) < self._agents:
                    candidate = waiting.pop(0)
                    seen = {*self.refused, *(digest(one.diff) for one, _ in courses)}
                    if digest(candidate.diff) not in seen:
                        courses.append((candidate, self._course(candidate)))
                blocked: list[Running] = []
                for candidate, course in list(courses):
                    try:
                        blocked.append(next(course))
                    except StopIteration as ended:
                        courses.remove((candidate, course))
                        self.tried += 1
                        result: Survivor | Refusal = ended.value
                        if isinstance(result, Refusal):
                            self._refuse(candidate, result.reason)
                        elif best is None or candidate.score > best.candidate.score:
                            self._log(f"{candidate.description}: passes")
                            best = result
                            until = 2 * monotonic() - started + LATER_GRACE_S
                if best is not None:
                    better = [one for one in courses if one[0].score > best.candidate.score]
                    if not better or monotonic() >= until:
                        break
                if blocked and len(blocked) == len(courses):
                    select.select([one.fileno() for one in blocked], [], [], TICK_S)
                yield
        finally:
            for _, course in courses:
                course.close()
        # What was interrupted may still be wanted, should the survivor fail the second time.
        return best, [candidate for candidate, _ in courses] + waiting

    def _refuse(self, candidate: Candidate, reason: str) -> None:
        self._log(f"{candidate.description}: refused, {reason}")
        self.refused.append(digest(candidate.diff))

    def _course(self, candidate: Candidate) -> Course:
        copy = self._workspace.copy()
        try:
            try:
                self._workspace.apply(candidate.diff, copy)
                changes = self._workspace.changes(copy)
                if not changes:
                    return Refusal(reason="it changes nothing")
                for change in changes:
                    if change.mode in (SYMLINK, SUBMODULE):
                        return Refusal(reason=f"makes {change.path} a link; edit files only")
                    if reason := self._rules.refusal(change.path):
                        return Refusal(reason=reason)
                patch = self._workspace.diff(copy)
            except PatchError as problem:
                return Refusal(reason=str(problem))
            for name, command, limit_s in self._checks():
                output = self._workspace.out / f"verify-{self._workspace.number()}"
                running = self._processes.start(
                    command,
                    cwd=copy,
                    env=self._workspace.environment,
                    output=output,
                    timeout_s=limit_s,
                )
                try:
                    while (finished := running.wait()) is None:
                        yield running
                    said = last_line(finished.tail(2000))
                finally:
                    running.end()
                    output.unlink(missing_ok=True)  # thousands of candidates may come
                if finished.timed_out:
                    return Refusal(reason=f"{name} did not end within {limit_s:g} s")
                if not finished.passed:
                    return Refusal(reason=f"{name} fails with {finished.exit_status}: {said}")
            return Survivor(candidate=candidate, patch=patch)
        finally:
            self._workspace.discard(copy)

    def _checks(self) -> list[tuple[str, str, float]]:
        work = self._assignment
        checks = [("reproduce", work.reproduce, work.reproduce_timeout_s)]
        if work.verify != work.reproduce:
            checks.append(("verify", work.verify, work.verify_timeout_s))
        return checks

    def _passes_again(self, survivor: Survivor) -> Steps[bool]:
        """Run `reproduce` once more, with the very patch that will be handed out."""
        copy = self._workspace.copy()
        running: Running | None = None
        try:
            self._workspace.apply(survivor.patch, copy)
            running = self._processes.start(
                self._assignment.reproduce,
                cwd=copy,
                env=self._workspace.environment,
                output=self._workspace.out / "confirm",
                timeout_s=self._assignment.reproduce_timeout_s,
            )
            while (finished := running.wait(TICK_S)) is None:
                yield
        except PatchError as problem:
            self._refuse(survivor.candidate, f"as git words it, it {problem}")
            return False
        finally:
            if running is not None:
                running.end()
            self._workspace.discard(copy)
        if not finished.passed:
            self._refuse(survivor.candidate, "reproduce passed once and failed the second time")
        return finished.passed


def last_line(text: str) -> str:
    """The last line that says something, shortened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no output"
