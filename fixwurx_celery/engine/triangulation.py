"""The engine that ships: observer, analyst and verifier, a tick at a time.

    TRIAGE ──▶ REPRO ──▶ ANALYZE ◀──▶ PATCH ──▶ VERIFY ──▶ DONE      fixed, or nothing to fix
                 │           │                     │
                 └───────────┴──▶ ESCALATE ◀───────┘                 not fixed, or no answer

The workspace and the processes belong to one attempt and die with it. What another node needs in
order not to repeat a finished phase is in `checkpoint()`; the pristine source is brought again.
"""

import json
import traceback
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

from fixwurx_celery.engine.analyst import factory
from fixwurx_celery.engine.analyst.base import Analyst, AnalystError, Candidate, Case, Observation
from fixwurx_celery.engine.base import JSON, EngineBug, Outcome, Phase
from fixwurx_celery.engine.observer import (
    NotRunnableError,
    from_json,
    localise,
    run_reproduce,
    to_json,
)
from fixwurx_celery.engine.payload import PayloadError, parse
from fixwurx_celery.engine.process import Processes, ProcessLostError
from fixwurx_celery.engine.sandbox import Sandbox, SandboxError, open_sandbox
from fixwurx_celery.engine.sources import bring
from fixwurx_celery.engine.steps import Steps
from fixwurx_celery.engine.verifier import Verifier
from fixwurx_celery.engine.workspace import SourceError, Workspace
from fixwurx_celery.settings import Settings

CHECKPOINT_BYTES = 64 * 1024
# Bounds of the observation in a checkpoint, tried until the whole fits.
CUTS = ((3000, 8000), (1000, 4000), (300, 2000), (50, 500))
SHOWN_LINES = 25
NO_ANSWER = (
    PayloadError,
    SourceError,
    SandboxError,
    NotRunnableError,
    ProcessLostError,
    AnalystError,
    OSError,
)


class Triangulation:
    """Works on one bug; see the seam in `engine/base.py`."""

    def __init__(self, bug: EngineBug, workspace: Path, checkpoint: JSON, sandbox: Sandbox) -> None:
        self.phase = str(Phase.TRIAGE)
        self.outcome: JSON = None
        self._bug = bug
        self._root = workspace
        self._started = self._entered = monotonic()
        self._seconds: dict[str, float] = {}
        self._sandbox = sandbox
        self._processes: Processes | None = None
        self._resume: Mapping[str, JSON] = {}
        if isinstance(checkpoint, Mapping):
            self._resume = checkpoint
            seconds = checkpoint.get("phase_seconds")
            if isinstance(seconds, Mapping):
                self._seconds = {
                    name: float(value)
                    for name, value in seconds.items()
                    if isinstance(value, int | float)
                }
        self._digest = ""
        self._observation: Observation | None = None
        self._analyst: Analyst | None = None
        self._verifier: Verifier | None = None
        self._pending: list[Candidate] = []
        self._script = self._run()

    # The seam.

    def execute_tick(self) -> None:
        """Go on with the work for about a second; a failure of the surroundings ends it."""
        if self.all_done():
            return
        try:
            next(self._script)
        except StopIteration:
            pass
        except NO_ANSWER as problem:
            self._finish(Outcome.ERROR, " ".join(str(problem).split()) or repr(problem))
        except Exception as problem:  # the loop's edge: a defect of ours is no answer either
            traceback.print_exc()
            self._finish(Outcome.ERROR, f"the engine failed: {problem!r}; please report this")

    def all_done(self) -> bool:
        """True once there is an outcome."""
        return self.outcome is not None

    def cancel(self) -> None:
        """Stop at once and end every process; harmless when all is done."""
        if not self.all_done():
            self._finish(Outcome.CANCELLED, "told to end before there was an answer")

    def checkpoint(self) -> JSON:
        """What the next node needs; at most 64 KiB as JSON."""
        if self._observation is None:
            return dict(self._resume) or None
        for max_lines, max_output in CUTS:
            for is_whole in (True, False):
                state = self._state(max_lines, max_output, is_whole=is_whole)
                if len(json.dumps(state)) <= CHECKPOINT_BYTES:
                    return state
        return None

    def _state(self, max_lines: int, max_output: int, *, is_whole: bool) -> dict[str, JSON]:
        observation = self._observation
        return {
            "version": 1,
            "digest": self._digest,
            "observation": (
                to_json(observation, max_lines=max_lines, max_output=max_output)
                if observation is not None
                else None
            ),
            "analyst": self._analyst.checkpoint() if self._analyst and is_whole else None,
            "refused": list(self._verifier.refused[-1000:]) if self._verifier else [],
            "pending": (
                [[one.diff, one.description, one.score] for one in self._pending]
                if is_whole
                else []
            ),
            "phase_seconds": dict(self._seconds),
        }

    # The script, cut into ticks at each yield.

    def _run(self) -> Steps[None]:
        work = parse(self._bug.payload)
        self._digest = work.digest
        sandbox = self._sandbox.with_network(is_asked=work.network)
        workspace = Workspace(self._root, sandbox)
        self._processes = processes = Processes(workspace.sandbox)
        make_analyst = factory(work.analyst, workspace)
        self._say(f"bug {self._bug.id}: {self._bug.agents} agents, reproduce: {work.reproduce}")
        yield from bring(work.source, workspace, processes, self._bug.artifacts)
        resume = self._resume if self._resume.get("digest") == work.digest else {}
        observation = self._resumed_observation(resume)
        if observation is None:
            resume = {}
            yield from self._enter(Phase.REPRO)
            failure = yield from run_reproduce(work, workspace, processes)
            if failure.passed:
                self._finish(Outcome.NOT_REPRODUCED, f"reproduce passed in {failure.seconds:.1f} s")
                return
            self._say(
                f"reproduced: no end within {work.reproduce_timeout_s:.0f} s"
                if failure.timed_out
                else f"reproduced: exit {failure.exit_status} after {failure.seconds:.1f} s"
            )
            self._show(failure.tail(4000))
            yield
            observation = yield from localise(work, workspace, processes, failure, self._say)
        self._observation = observation
        refused = resume.get("refused")
        self._verifier = Verifier(
            work,
            workspace,
            processes,
            agents=self._bug.agents,
            refused=[str(one) for one in refused] if isinstance(refused, list) else [],
            log=self._say,
        )
        yield from self._enter(Phase.ANALYZE)
        self._analyst = make_analyst(
            Case(
                bug_id=self._bug.id,
                source=workspace.source,
                scratch=workspace.scratch,
                reproduce=work.reproduce,
                verify=work.verify,
                files=work.files,
                agents=self._bug.agents,
                observation=observation,
                environment=workspace.environment,
                sandbox=workspace.sandbox,
                log=self._say,
                resume=resume.get("analyst"),
            )
        )
        yield from self._search(self._analyst, self._verifier, self._resumed_candidates(resume))

    def _search(
        self, analyst: Analyst, verifier: Verifier, pending: list[Candidate]
    ) -> Steps[None]:
        while True:
            pending = [one for one in pending if not verifier.has_refused(one)]
            self._pending = pending
            if pending:
                yield from self._enter(Phase.PATCH)
                self._say(f"{len(pending)} to verify, first: {pending[0].description}")
                yield from self._enter(Phase.VERIFY)
                survivor = yield from verifier.first_survivor(pending)
                self._pending = []
                if survivor is not None:
                    self._finish(
                        Outcome.FIXED,
                        f"reproduce and verify pass with {survivor.candidate.description}",
                        patch=survivor.patch,
                        edit=survivor.candidate.description,
                    )
                    return
                yield from self._enter(Phase.ANALYZE)
            if analyst.exhausted:
                break
            pending = list(analyst.step())
            yield
        self._finish(
            Outcome.NOT_FIXED, f"none of the {self._tried()} candidates tried passes the tests"
        )

    def _resumed_observation(self, resume: Mapping[str, JSON]) -> Observation | None:
        if not resume.get("observation"):
            return None
        try:
            observation = from_json(resume["observation"])
        except (ValueError, KeyError, TypeError) as problem:
            self._say(f"checkpoint is unreadable ({problem}); starting from the beginning")
            return None
        self._say("resumed: reproduced and localised on an earlier node")
        return observation

    def _resumed_candidates(self, resume: Mapping[str, JSON]) -> list[Candidate]:
        found = []
        pending = resume.get("pending")
        for one in pending if isinstance(pending, list) else []:
            match one:
                case [str(diff), str(description), int() | float() as score]:
                    found.append(Candidate(diff=diff, description=description, score=score))
        return found

    # Bookkeeping.

    def _tried(self) -> int:
        return max(
            self._analyst.tried if self._analyst else 0,
            self._verifier.tried if self._verifier else 0,
        )

    def _enter(self, phase: Phase) -> Steps[None]:
        """Go on in that phase. The tick ends here, so that its clock runs before its work does."""
        self._note(phase)
        yield

    def _note(self, phase: Phase) -> None:
        now = monotonic()
        spent = self._seconds.get(self.phase, 0.0) + now - self._entered
        self._seconds[self.phase] = round(spent, 3)
        self._entered = now
        self.phase = str(phase)

    def _finish(self, verdict: Outcome, reason: str, **found: str) -> None:
        is_good = verdict in (Outcome.FIXED, Outcome.NOT_REPRODUCED)
        self._note(Phase.DONE if is_good else Phase.ESCALATE)
        self._say(f"{verdict}: {reason}")
        self.outcome = {
            "outcome": str(verdict),
            "reason": reason,
            **found,
            "candidates_tried": self._tried(),
            "phase_seconds": dict(self._seconds),
        }
        self._close()

    def _close(self) -> None:
        try:
            if self._analyst is not None:
                self._analyst.close()
        finally:
            if self._processes is not None:
                self._processes.end_all()

    def _say(self, text: str) -> None:
        print(f"{monotonic() - self._started:7.1f}s {self.phase:<8} {text}", flush=True)

    def _show(self, output: str) -> None:
        for line in output.splitlines()[-SHOWN_LINES:]:
            print(f"          | {line[:300]}")


def triangulation(bug: EngineBug, workspace: Path, checkpoint: JSON = None) -> Triangulation:
    """Return the shipped engine for `bug`; the default of FIXWURX_ENGINE."""
    return Triangulation(bug, workspace, checkpoint, open_sandbox(Settings.from_environment()))
