"""The process in which engines run: leader of its own session, one bug at a time.

Forked by a pool process when a bug arrives, kept for the next one, gone after a while without work.
It knows nothing of the store: it gets a job over a pipe, answers with progress, and may be killed
at any moment with everything below it; an engine that wants to know is told before, and has a
moment. Its stdout and stderr are the attempt's log.
"""

import io
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NoReturn

from fixwurx_celery.artifacts import open_artifacts
from fixwurx_celery.engine.adapter import EngineAdapter
from fixwurx_celery.engine.base import EngineBug
from fixwurx_celery.engine.factory import Factory, load_factory
from fixwurx_celery.processes import die_with_parent, has_children, inherit_orphans
from fixwurx_celery.settings import Settings
from fixwurx_celery.tracing import stop_here as stop_tracing
from fixwurx_celery.worker.engine_pipe import End, Keeper

__all__ = ["check_size", "fork_host", "run_engine"]

IDLE_S: Final = 10.0
"""Without work for this long the host ends: an idle node should cost what an idle worker costs."""
CHECKPOINT_EVERY_S: Final = 2.0
"""The work that is done again after a kill: at most so much of one phase."""
MOST_OUTCOME: Final = 256 * 1024


def fork_host(settings: Settings, mark: str, connection: Connection, log_fd: int) -> int:
    """The pid of a new host that serves `connection`. `mark` is put into its environment, so that
    whatever it starts can be told from everything else on this host."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        _settle_in(parent, mark, connection, log_fd)
        _serve(settings, connection)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(1)


def _settle_in(parent: int, mark: str, connection: Connection, log_fd: int) -> None:
    os.setsid()
    die_with_parent(parent)
    stop_tracing()
    inherit_orphans()
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The worker's own descriptors (broker, store, pool pipes) must not live on in here. They are
    # overlaid rather than closed, so that objects which still own a number close nothing of ours.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    for entry in list(Path("/proc/self/fd").iterdir()):
        descriptor = int(entry.name)
        if descriptor > 2 and descriptor not in (connection.fileno(), null):
            try:
                os.dup2(null, descriptor, inheritable=False)
            except OSError:
                continue
    # Celery redirected these into its own log.
    sys.stdout, sys.stderr = _unbuffered(1), _unbuffered(2)
    logging.root.handlers[:] = [logging.StreamHandler(sys.stderr)]
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True
    os.environ["FIXWURX_MARK"] = mark


def _unbuffered(descriptor: int) -> io.TextIOWrapper:
    raw = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        raw, encoding="utf-8", errors="replace", line_buffering=True, write_through=True
    )


def _serve(settings: Settings, connection: Connection) -> NoReturn:
    factory: Factory | None = None
    artifacts = open_artifacts(settings)
    home, keeper = Path.cwd(), Keeper(connection)
    while True:
        job = keeper.next_job(IDLE_S)
        try:
            factory = factory or load_factory(settings.engine)
            bug = EngineBug(
                id=job["id"], agents=job["agents"], payload=job["payload"], artifacts=artifacts
            )
            made = factory.make(bug, Path(job["workspace"]), job["checkpoint"])
            engine = EngineAdapter(made, bug.id)
            try:
                engine.resume(job["checkpoint"])
                outcome = run_engine(engine, keeper)
            finally:
                engine.close()
            check_size(outcome)
        except Exception as error:
            traceback.print_exc()
            outcome = {"outcome": "ERROR", "reason": f"{type(error).__name__}: {error}"[:2000]}
        sys.stdout.flush()
        sys.stderr.flush()
        os.chdir(home)
        keeper.tell(done=outcome, clean=not has_children() and threading.active_count() == 1)


def run_engine(engine: EngineAdapter, keeper: Keeper) -> Any:
    """Ticks the engine until it is done; its outcome. Does not return when it is told to stop."""
    phase, kept_at = engine.phase, float("-inf")
    keeper.tell(phase=phase, heeds=_heeded(engine))
    end, is_done = keeper.order(), engine.is_done()
    while not is_done:
        if end is not None:
            _stop(engine, keeper, end)
        engine.tick()
        if is_done := engine.is_done():
            break
        reached, now = engine.phase, time.monotonic()
        is_new = reached != phase
        if is_new or now - kept_at >= CHECKPOINT_EVERY_S:
            phase, kept_at = reached, now
            keeper.tell(phase=phase, checkpoint=engine.checkpoint(), waits=is_new)
        end = keeper.order(wait=is_new)
    return engine.outcome


def _heeded(engine: EngineAdapter) -> list[End]:
    """The ends of which the engine makes use, given a moment; all others are sudden."""
    if engine.has_cancel:
        return [End.CANCELLED, End.TIMED_OUT, End.MOVED]
    return [End.MOVED] if engine.can_checkpoint else []


def _stop(engine: EngineAdapter, keeper: Keeper, end: End) -> NoReturn:
    """Hands in how far the engine came, when somebody goes on from there; tells it that it ends;
    and waits to be killed, with all that is below this process."""
    try:
        try:
            if end is End.MOVED:
                keeper.tell(phase=engine.phase, checkpoint=engine.checkpoint())
        finally:
            engine.cancel()
    except Exception:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    keeper.tell(stopped=True)
    while True:
        signal.pause()


def check_size(outcome: Any) -> None:
    """Raises ValueError above 256 KiB of JSON, not counting a patch: large ones are put aside."""
    is_plain = not isinstance(outcome, Mapping)
    size = len(json.dumps(outcome if is_plain else {**outcome, "patch": None}))
    if size > MOST_OUTCOME:
        raise ValueError(f"the engine's outcome is {size} bytes of JSON; at most {MOST_OUTCOME}")
