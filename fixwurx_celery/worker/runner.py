"""One bug on this pool process: start it, watch its engine, report, finish, ring what comes next.

The runner is the keeper. It shares no process with the engine, so an engine that computes without
pause keeps its lease, and one that hangs, ignores signals or forks is killed with all it started:
when it is cancelled, moved or out of time, after the moment that an engine has which makes use of
it; at once when another run owns the bug, and, by an alarm that no hanging call holds up, before
anyone else can be given the bug while the store is out of reach.
"""

import contextlib
import json
import logging
import os
import select
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from fixwurx_celery.artifacts import open_artifacts
from fixwurx_celery.domain.bugs import Assignment, Outcome, terminal_state
from fixwurx_celery.domain.clocks import RunClocks
from fixwurx_celery.errors import StoreRefuses, StoreUnavailable
from fixwurx_celery.logs import Line, event, words
from fixwurx_celery.processes import end_descendants, inherit_orphans, is_stopped
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.tracing import run_span
from fixwurx_celery.worker.endings import Ending, Spool, deliver
from fixwurx_celery.worker.engine_host import fork_host
from fixwurx_celery.worker.engine_pipe import GO_ON, End
from fixwurx_celery.worker.run import Run
from fixwurx_celery.worker.stopping import Stage, Stopping

__all__ = ["Runner"]

LOG_PER_REPORT: Final = 4096
LOG_HELD: Final = 16 * LOG_PER_REPORT

log = logging.getLogger(__name__)


@dataclass(slots=True)
class EngineHost:
    """The engine's process, as the runner holds it."""

    pid: int
    connection: Connection
    log_fd: int
    poll: select.poll


class Runner:
    """Runs bugs one after another in this process. Made after the fork, not before."""

    def __init__(
        self,
        store: ClusterStore,
        settings: Settings,
        ring: Callable[[Sequence[Assignment]], bool],
        *,
        worker_id: str,
        incarnation: Callable[[], str],
        run_dir: Path,
        spool: Spool,
        stopping: Stopping,
    ) -> None:
        """`store` is not patient: who waits for it meanwhile does not watch its engine."""
        self._store, self._settings, self._ring, self._spool = store, settings, ring, spool
        self._stopping = stopping
        self._worker_id, self._incarnation, self._run_dir = worker_id, incarnation, run_dir
        self._workspace = run_dir / f"work-{os.getpid()}"
        self._empty_workspace()
        self._host: EngineHost | None = None
        self._run: Run | None = None
        inherit_orphans()
        signal.signal(signal.SIGALRM, self._cut_off)
        signal.signal(signal.SIGCHLD, self._reap_host)

    def run(self, bug_id: str, epoch: int) -> str:
        """Runs that assignment of the bug to its end; one word about how it ended.

        A doorbell that is late, doubled or for somebody else ends here without an effect.
        """
        incarnation = self._incarnation()
        token = os.urandom(16).hex()
        asked_at = time.monotonic()
        try:
            started = self._store.start(bug_id, self._worker_id, incarnation, epoch, token)
        except StoreRefuses as error:
            log.warning(
                words(
                    f"the bug is not started, and is rung again: {error}",
                    bug=bug_id,
                    epoch=epoch,
                    node=self._worker_id,
                )
            )
            return "REFUSED"
        except StoreUnavailable as error:  # it may have taken the call all the same, or take it yet
            return self._tell_or_keep(
                Ending(
                    bug_id=bug_id,
                    node=self._worker_id,
                    incarnation=incarnation,
                    epoch=epoch,
                    runner=token,
                    reason=f"no start: {error}",
                )
            )
        if isinstance(started, str):
            return started
        about = {"bug": bug_id, "epoch": epoch, "node": self._worker_id}
        log.info(event("bug_started", run=started.run, **about))
        now = time.monotonic()
        run = Run(
            bug_id=bug_id,
            epoch=epoch,
            token=token,
            clocks=RunClocks(started.spec["timeout_s"], started.spec.get("limits", {}), now),
            began_at=now,
            reported_at=now,
            seen_going_at=now,
            span=run_span(
                started.spec.get("trace", ""), started.waited_ms, run=started.run, **about
            ),
        )
        try:
            job = {
                "id": bug_id,
                "agents": started.spec["agents"],
                "payload": started.spec["payload"],
                "checkpoint": started.checkpoint,
                "workspace": str(self._workspace),
            }
            self._run = run
            self._heard_from_store(asked_at)
            host = self._begin(json.dumps(job).encode())
            self._watch(host, run, incarnation)
            self._run = None
            if run.ended is not End.DONE or not run.clean:
                self.end_engine()
            return self._conclude(run, incarnation)
        except Exception as error:  # no space, no memory, no right: this node's trouble
            log.exception(words(f"the bug cannot run here: {error}", **about))
            self.end_engine()
            return self._give_back(run, incarnation, "losses", f"its node failed: {error}")
        except BaseException:  # this process is told to end
            self.end_engine()
            if self._stopping.stage:
                self._spool.keep(self._ending(run, incarnation, charge="", reason="its node stops"))
            raise
        finally:
            self._run = None
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._empty_workspace()
            run.span.end(run.ended.name if run.ended else "FAILED", run.outcome)

    def _heard_from_store(self, asked_at: float) -> None:
        """The store renewed the lease, at the earliest when it was asked: from then on the run may
        go on alone for so long."""
        left_s = asked_at + self._settings.alone_sec - time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, max(0.01, left_s))

    def _cut_off(self, *_: object) -> None:
        """The alarm: the store was not heard for too long. Whatever the runner waits for just now,
        nothing of the bug may be alive from here on."""
        if self._run is None or self._host is None:
            return
        log.warning(self._words("the store is out of reach for too long: the run ends", self._run))
        self._run.ended = self._run.ended or self._run.ending or End.CUT_OFF
        for kill in (os.kill, os.killpg):
            with contextlib.suppress(ProcessLookupError):
                kill(self._host.pid, signal.SIGKILL)
        end_descendants()

    def end_engine(self) -> None:
        """Kills the engine's process and everything below it, also what left its session."""
        host, self._host = self._host, None
        if host is None:
            return
        for kill in (os.kill, os.killpg):
            try:
                kill(host.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if not end_descendants():
            log.error(words("processes of a bug outlived SIGKILL", node=self._worker_id))
        (self._run_dir / f"session-{host.pid}").unlink(missing_ok=True)
        host.connection.close()
        os.close(host.log_fd)

    def _reap_host(self, *_: object) -> None:
        # A host that went home for lack of work leaves no zombie behind.
        if self._host is not None:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._host.pid, os.WNOHANG)

    def _empty_workspace(self) -> None:
        """Removes what the bug left in this process's workspace. The folder itself stays for the
        next bug: removing and making one costs more than the rest of a short bug."""
        try:
            with os.scandir(self._workspace) as entries:
                is_empty = next(entries, None) is None
        except FileNotFoundError:
            is_empty = False
        if not is_empty:
            shutil.rmtree(self._workspace, ignore_errors=True)
            self._workspace.mkdir(parents=True)

    # -- the engine's process --------------------------------------------------------------

    def _begin(self, job: bytes) -> EngineHost:
        """A host with this job: the one kept from the last bug, or a new one."""
        if self._host is not None:
            try:
                if not self._host.connection.poll():
                    self._host.connection.send_bytes(job)
                    return self._host
            except OSError:
                pass
            self.end_engine()  # it went home after its idle time
        ours, theirs = Pipe()
        log_fd, log_write = os.pipe()
        os.set_blocking(log_fd, False)
        pid = fork_host(self._settings, str(self._run_dir), theirs, log_write)
        theirs.close()
        os.close(log_write)
        (self._run_dir / f"session-{pid}").touch()
        poll = select.poll()
        poll.register(ours.fileno(), select.POLLIN)
        poll.register(log_fd, select.POLLIN)
        self._host = EngineHost(pid, ours, log_fd, poll)
        self._host.connection.send_bytes(job)
        return self._host

    def _watch(self, host: EngineHost, run: Run, incarnation: str) -> None:
        """Relays progress until the engine is done, or must not go on; sets `run.ended`."""
        while not run.is_over():
            wait_s = max(0.0, run.wakes_at() - time.monotonic())
            ready = dict(host.poll.poll(wait_s * 1000))
            if host.log_fd in ready:
                self._read_log(host, run)
            now = time.monotonic()
            if host.connection.fileno() in ready:
                run.hear(host.connection, now)
            if run.is_over():
                break
            if run.ending is not None:
                if now >= run.ends_at:
                    run.ended = run.ending
            elif now >= run.clocks.deadline:
                self._stop(host, run, End.TIMED_OUT)
            elif self._stopping.stage is Stage.HURRYING:
                self._stop(host, run, End.MOVED)
            elif run.is_report_due(now):
                self._report(host, run, incarnation, now)
        if run.ended is End.CUT_OFF:  # what was said before that counts
            run.ended = None
            run.hear(host.connection, time.monotonic())
            run.ended = End.DONE if run.ended is End.DONE else End.CUT_OFF
        self._read_log(host, run)

    def _stop(self, host: EngineHost, run: Run, end: End) -> None:
        """Ends the run so: soon, when its engine wants to know, else now."""
        if end in run.heeds and self._say(host, end.encode()):
            run.end_within_grace(end, time.monotonic())
        else:
            run.ended = end

    def _let_go_on(self, host: EngineHost, run: Run) -> None:
        """The store has its new phase, or could not be told; if the engine waits, it need not."""
        if run.is_waiting and not run.is_over() and run.ending is None:
            self._say(host, GO_ON)
        run.is_waiting = False

    def _say(self, host: EngineHost, words: bytes) -> bool:
        """Whether there is still somebody to hear it."""
        try:
            host.connection.send_bytes(words)
        except OSError:
            return False
        return True

    def _read_log(self, host: EngineHost, run: Run) -> None:
        """Takes in what was printed, keeping the end of a flood."""
        for _ in range(16):  # a flood must not keep the runner from its reports
            try:
                data = os.read(host.log_fd, 65536)
            except BlockingIOError:
                return
            if not data:  # every writer is gone; the host's end is seen at its connection
                with contextlib.suppress(KeyError):
                    host.poll.unregister(host.log_fd)
                return
            run.log += data
            if len(run.log) > LOG_HELD:
                run.log[: len(run.log) - LOG_HELD] = b"[... more than is kept ...]\n"

    # -- the store -------------------------------------------------------------------------

    def _report(self, host: EngineHost, run: Run, incarnation: str, now: float) -> None:
        run.reported_at, run.has_news = now, False
        if not is_stopped(host.pid):
            run.seen_going_at = now
        elif now - run.seen_going_at > self._settings.lease_sec:
            run.ended = End.DIED  # frozen from outside; the bug runs again
            return
        if run.is_alone:  # its engine has waited for the last call, and not for this one too
            self._let_go_on(host, run)
        try:
            answer = self._tell(run, incarnation)
        except StoreUnavailable as error:
            if not run.is_alone:
                log.warning(
                    self._words(f"the run cannot report, and goes on for now: {error}", run)
                )
            run.is_alone = True
        else:
            if run.is_alone:
                log.info(self._words("the run reports again", run))
            run.is_alone = False
            self._heard_from_store(now)
            if answer == "STALE":
                log.warning(
                    self._words("the run ends here: the bug is somebody else's by now", run)
                )
                run.ended = End.STALE
            elif answer in ("CANCELLED", "MOVED"):
                self._stop(host, run, End[answer])
        self._let_go_on(host, run)

    def _tell(self, run: Run, incarnation: str) -> str:
        text = bytes(run.log).decode("utf-8", "replace")
        answer = self._store.report(
            run.bug_id,
            self._worker_id,
            incarnation,
            run.epoch,
            run.token,
            phase=run.clocks.phase if run.clocks.phase != run.told else "",
            checkpoint=run.checkpoint,
            log=text,
        )
        run.told, run.checkpoint = run.clocks.phase, ""
        run.log.clear()
        return answer

    def _conclude(self, run: Run, incarnation: str) -> str:
        match run.ended:
            case End.STALE:
                return "STALE"
            case End.CUT_OFF:
                return self._give_back(
                    run, incarnation, "", "the store was out of reach for too long"
                )
            case End.MOVED:
                return self._give_back(run, incarnation, "", "its node drains")
            case End.DIED if self._stopping.stage:
                return self._give_back(run, incarnation, "", "its engine was ended with its node")
            case End.DIED if self._incarnation() != incarnation:
                return "STALE"  # this node ended it, having been taken for lost
            case End.DIED:
                return self._give_back(run, incarnation, "attempts", "the engine's process died")
            case End.CANCELLED:
                outcome: Any = {"outcome": Outcome.CANCELLED, "reason": "cancelled while it ran"}
            case End.TIMED_OUT:
                outcome = {
                    "outcome": Outcome.TIMED_OUT,
                    "reason": f"{run.clocks.bound} passed in phase {run.clocks.phase}; all its "
                    "processes were killed",
                    "clock": run.clocks.clock,
                }
            case _:
                outcome = run.outcome
        return self._end(run, incarnation, state=terminal_state(outcome), outcome=outcome)

    def _give_back(self, run: Run, incarnation: str, charge: str, reason: str) -> str:
        return self._end(run, incarnation, charge=charge, reason=reason)

    def _ending(self, run: Run, incarnation: str, **how: Any) -> Ending:
        return Ending(
            bug_id=run.bug_id,
            node=self._worker_id,
            incarnation=incarnation,
            epoch=run.epoch,
            runner=run.token,
            checkpoint=run.checkpoint,
            log=bytes(run.log).decode("utf-8", "replace"),
            seconds=round(time.monotonic() - run.began_at, 1),
            **how,
        )

    def _words(self, text: str, run: Run) -> Line:
        return words(text, bug=run.bug_id, epoch=run.epoch, node=self._worker_id)

    def _end(self, run: Run, incarnation: str, **how: Any) -> str:
        return self._tell_or_keep(self._ending(run, incarnation, **how))

    def _tell_or_keep(self, ending: Ending) -> str:
        """Tells the store; what it does not take is kept, and told by the node's heart later."""
        try:
            status, following = deliver(
                self._store, lambda: open_artifacts(self._settings, is_patient=False), ending
            )
        except StoreUnavailable as error:
            log.warning(
                words(f"the end of the run is kept until it is told: {error}", **ending.about)
            )
            self._spool.keep(ending)
            return "SPOOLED"
        except SystemExit:  # told to end while the store did not answer
            self._spool.keep(ending)
            raise
        self._ring(following)
        return status
