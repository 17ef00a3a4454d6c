"""The analyst that is another program, an LLM agent for example, editing a copy in place."""

import select
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fixwurx_celery.engine.analyst.base import AnalystError, Candidate, Case
from fixwurx_celery.engine.base import JSON
from fixwurx_celery.engine.edits import EditRules
from fixwurx_celery.engine.process import Finished, Processes, ProcessLostError, Running
from fixwurx_celery.engine.workspace import PatchError, Workspace

STEP_S = 1.0
GRACE_S = 3.0  # an agent may have containers to stop
SAID_CHARS = 1500


class Command:
    """Runs the program once for each agent of the bug, all at once, each in its own copy.

    A program that ends with another status than 0 and proposes nothing has failed rather than
    answered; when all of them do, so does the attempt. What the programs cost is not spent twice:
    the checkpoint names the agents that are done with.
    """

    def __init__(self, case: Case, command: str, workspace: Workspace) -> None:
        self._case = case
        self._command = command
        self._workspace = workspace
        self._rules = EditRules(files=case.files, commands=(case.reproduce, case.verify))
        self._processes = Processes(workspace.sandbox)
        self._running: dict[int, tuple[Running, Path]] = {}
        self._done: list[int] = []
        match case.resume:
            case {"done": list(done)}:
                self._done = [n for n in done if isinstance(n, int)]
        self._waiting = [n for n in range(case.agents) if n not in self._done]
        self._failures: list[str] = []
        self._answers = len(self._done)
        self.tried = 0

    @property
    def exhausted(self) -> bool:
        """True when every program has ended."""
        return not self._waiting and not self._running

    def step(self) -> Sequence[Candidate]:
        """Start what is to be started, wait a second, return the edits of those that ended."""
        while self._waiting:
            self._start(self._waiting.pop(0))
        if self._running:
            select.select([run.fileno() for run, _ in self._running.values()], [], [], STEP_S)
        candidates = []
        for agent, (running, copy) in list(self._running.items()):
            finished = running.wait()
            if finished is None:
                continue
            del self._running[agent]
            candidate = self._edits(agent, finished, copy)
            shutil.rmtree(copy, ignore_errors=True)
            self._done.append(agent)
            if candidate is not None:
                self.tried += 1
                candidates.append(candidate)
        if self.exhausted and not self._answers and self._failures:
            raise AnalystError(
                f"analyst.command failed: {self._failures[-1]}; see the log for what it said"
            )
        return candidates

    def _start(self, agent: int) -> None:
        case, copy = self._case, self._workspace.copy()
        failure = case.scratch / "failure.txt"
        seen = case.observation
        failure.write_text(seen.failing_output if seen else "")
        env = dict(case.environment)
        env |= {
            "FIXWURX_BUG_ID": case.bug_id,
            "FIXWURX_AGENT": str(agent),
            "FIXWURX_REPRODUCE": case.reproduce,
            "FIXWURX_VERIFY": case.verify,
            "FIXWURX_FAILURE": str(failure),
            "FIXWURX_FILES": "\n".join(case.files or (seen.files if seen else ())),
        }
        self._make_repository(copy)
        case.log(f"agent {agent}: starts {self._command}")
        running = self._processes.start(
            self._command,
            cwd=copy,
            env=env,
            output=case.scratch / f"agent-{agent}.log",
            reads=(failure,),
            timeout_s=None,
            stop_signal=signal.SIGTERM,
            grace_s=GRACE_S,
        )
        self._running[agent] = (running, copy)

    def _make_repository(self, copy: Path) -> None:
        """Many such programs want a repository to look at; what they do to it does not count."""
        git = self._workspace.git
        git("init", "-q", cwd=copy)
        git("add", "-A", "-f", cwd=copy)
        name = ("-c", "user.name=fixwurx", "-c", "user.email=fixwurx@localhost")
        git(*name, "commit", "-q", "--no-verify", "--allow-empty", "-m", "as found", cwd=copy)

    def _edits(self, agent: int, finished: Finished, copy: Path) -> Candidate | None:
        case, status = self._case, finished.exit_status
        for line in finished.tail(SAID_CHARS).splitlines()[-15:]:
            case.log(f"agent {agent} | {line}")
        case.log(f"agent {agent}: ended with {status} after {finished.seconds:.1f} s")
        strays, kept = [], []
        for change in self._workspace.changes(copy):
            if change.status == "A" and case.files and self._rules.refusal(change.path):
                strays.append(change.path)
            else:
                kept.append(change.path)
        if strays:
            case.log(f"agent {agent}: new files outside of files are left out: {strays[:5]}")
        if not kept:
            if status:
                self._failures.append(f"agent {agent} ended with {status} and made no edit")
            else:
                self._answers += 1
                case.log(f"agent {agent}: made no edit")
            return None
        self._answers += 1
        for path in kept:
            if reason := self._rules.refusal(path):
                case.log(f"agent {agent}: refused, {reason}")
                return None
        try:
            diff = self._workspace.diff(copy, leave_out=strays)
        except PatchError as problem:
            case.log(f"agent {agent}: refused, {problem}")
            return None
        return Candidate(
            diff=diff,
            description=f"agent {agent}'s edit of {', '.join(kept[:3])}",
            score=1.0 if status == 0 else 0.5,
        )

    def checkpoint(self) -> JSON:
        """The agents whose work is over."""
        return {"done": list(self._done)}

    def close(self) -> None:
        """End every program with all that it started."""
        with suppress(ProcessLostError):
            self._processes.end_all()
