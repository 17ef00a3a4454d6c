"""The process in which engines run: leader of its own session, one bug at a time.

Forked by a pool process when a bug arrives, kept for the next one, gone after a while without work.
It knows nothing of the store: it gets a job over a pipe, answers with progress, and may be killed
at any moment with everything below it. Its stdout and stderr are the attempt's log.
"""

import importlib
import io
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NoReturn

from fixwurx_celery.artifacts import open_artifacts
from fixwurx_celery.engine.base import EngineBug
from fixwurx_celery.processes import die_with_parent, has_children, inherit_orphans
from fixwurx_celery.settings import Settings

__all__ = ["fork_host", "load_factory"]

IDLE_S: Final = 10.0
"""Without work for this long the host ends: an idle node should cost what an idle worker costs."""
PHASE_OF_NONE: Final = "RUN"
"""Shown of an engine that has no phases: all its ticks are the run's, none is set-up."""
CHECKPOINT_EVERY_S: Final = 2.0
MOST_CHECKPOINT: Final = 64 * 1024
MOST_OUTCOME: Final = 256 * 1024


def load_factory(name: str) -> Callable[..., Any]:
    """The callable that `module:callable` names. Raises ValueError saying what is missing."""
    module_name, _, attribute = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"FIXWURX_ENGINE={name!r} cannot be loaded on this node: {error}; it must be written "
            "module:callable and be importable from the node's working directory"
        ) from error
    if not callable(factory):
        raise ValueError(f"FIXWURX_ENGINE={name!r} is not callable")
    return factory  # type: ignore[no-any-return]


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
    factory: Callable[..., Any] | None = None
    artifacts = open_artifacts(settings)
    home = Path.cwd()
    while True:
        if not connection.poll(IDLE_S):
            # A job sent from now on fails at its sender; one sent before this is still read.
            with socket.socket(fileno=os.dup(connection.fileno())) as door:
                door.shutdown(socket.SHUT_RD)
        try:
            job = json.loads(connection.recv_bytes())
        except EOFError:
            os._exit(0)
        try:
            factory = factory or load_factory(settings.engine)
            bug = EngineBug(
                id=job["id"], agents=job["agents"], payload=job["payload"], artifacts=artifacts
            )
            outcome = _run(factory, bug, Path(job["workspace"]), job["checkpoint"], connection)
            check_size(outcome)
        except Exception as error:
            traceback.print_exc()
            outcome = {"outcome": "ERROR", "reason": f"{type(error).__name__}: {error}"[:2000]}
        sys.stdout.flush()
        sys.stderr.flush()
        os.chdir(home)
        clean = not has_children() and threading.active_count() == 1
        _send(connection, {"done": outcome, "clean": clean})


def _run(
    factory: Callable[..., Any],
    bug: EngineBug,
    workspace: Path,
    checkpoint: Any,
    connection: Connection,
) -> Any:
    engine = factory(bug, workspace, checkpoint)
    phase, kept_at = _phase_of(engine), float("-inf")
    _send(connection, {"phase": phase})
    while not engine.all_done():
        engine.execute_tick()
        now = time.monotonic()
        reached = _phase_of(engine)
        if engine.all_done() or (reached == phase and now - kept_at < CHECKPOINT_EVERY_S):
            continue
        message: dict[str, Any] = {"phase": reached}
        if hasattr(engine, "checkpoint"):
            text = json.dumps(engine.checkpoint())
            if len(text) <= MOST_CHECKPOINT:
                message["checkpoint"] = text
            else:
                print(f"checkpoint of {len(text)} bytes is above {MOST_CHECKPOINT}: not kept")
        phase, kept_at = reached, now
        _send(connection, message)
    return getattr(engine, "outcome", None)


def _phase_of(engine: Any) -> str:
    return str(getattr(engine, "phase", "") or PHASE_OF_NONE)


def check_size(outcome: Any) -> None:
    """Raises ValueError above 256 KiB of JSON, not counting a patch: large ones are put aside."""
    is_plain = not isinstance(outcome, Mapping)
    size = len(json.dumps(outcome if is_plain else {**outcome, "patch": None}))
    if size > MOST_OUTCOME:
        raise ValueError(f"the engine's outcome is {size} bytes of JSON; at most {MOST_OUTCOME}")


def _send(connection: Connection, message: Mapping[str, Any]) -> None:
    connection.send_bytes(json.dumps(message).encode())
