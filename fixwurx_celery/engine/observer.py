"""The observer: sees the failure in a clean copy, then finds the lines that may cause it."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fixwurx_celery.engine.analyst.base import Log, Observation
from fixwurx_celery.engine.base import JSON
from fixwurx_celery.engine.edits import EditRules, is_test_file
from fixwurx_celery.engine.payload import Assignment
from fixwurx_celery.engine.process import Finished, Processes
from fixwurx_celery.engine.spectrum import Spectrum, read
from fixwurx_celery.engine.steps import Steps, until_finished
from fixwurx_celery.engine.tracebacks import traceback_lines
from fixwurx_celery.engine.workspace import LEFT_OUT, Workspace

PROBE = Path(__file__).with_name("probe")
TRACE_LIMIT_S = 60.0  # tracing only sharpens the search; past this it goes on without
MAX_OUTPUT = 16_000
MAX_LINES = 3_000
MAX_FILES = 200
ENOUGH_PASSING = 8  # passing tests in reproduce itself; with fewer, those of verify are traced too

# The command itself cannot run: that says nothing about the bug, and another node may do better.
NOT_RUNNABLE = (
    (re.compile(r"No module named '?pytest'?\s*$", re.M), "pytest is not installed for it"),
    (re.compile(r"^ERROR: file or directory not found: ", re.M), "a file it names is missing"),
    (re.compile(r"^(no tests ran|=+ no tests ran) ", re.M), "it runs no tests"),
    (
        re.compile(r"can't open file .*No such file or directory", re.M),
        "a file it names is missing",
    ),
)


class NotRunnableError(RuntimeError):
    """The reproduce command could not do its work on this node."""


def run_reproduce(
    assignment: Assignment, workspace: Workspace, processes: Processes
) -> Steps[Finished]:
    """Run `reproduce` once in a clean copy and return how it ended."""
    copy = workspace.copy()
    try:
        running = processes.start(
            assignment.reproduce,
            cwd=copy,
            env=workspace.environment,
            output=workspace.out / "reproduce",
            timeout_s=assignment.reproduce_timeout_s,
        )
        finished = yield from until_finished(running)
    finally:
        workspace.discard(copy)
    if not finished.passed and not finished.timed_out:
        _check_runnable(assignment.reproduce, finished)
    return finished


def _check_runnable(command: str, finished: Finished) -> None:
    said = finished.tail(MAX_OUTPUT)
    why = ""
    if finished.exit_status in (126, 127):
        why = " ".join(said.split())[-200:]
    elif finished.exit_status in (1, 2, 4, 5):
        why = next((text for pattern, text in NOT_RUNNABLE if pattern.search(said)), "")
        if finished.exit_status == 1 and "no tests" in why:
            why = ""
    if why:
        raise NotRunnableError(
            f"reproduce cannot run on this node (exit {finished.exit_status}): {why}; "
            f"check the command {command!r} and what the node has installed"
        )


def localise(
    assignment: Assignment,
    workspace: Workspace,
    processes: Processes,
    failure: Finished,
    log: Log,
) -> Steps[Observation]:
    """Trace the failure and return what is known of it."""
    output = failure.tail(4 * MAX_OUTPUT)
    traced, spectrum = yield from _trace(assignment.reproduce, workspace, processes, failure)
    if failure.timed_out:
        output += traced.tail(4 * MAX_OUTPUT)  # here a hanging test has a traceback
    if assignment.verify != assignment.reproduce and spectrum.passing_count < ENOUGH_PASSING:
        _, wider = yield from _trace(assignment.verify, workspace, processes, failure)
        if set(wider.failing_tests) >= set(spectrum.failing_tests):
            spectrum = wider  # the same tests and more; no test counts twice
    # Copies are gone, so paths below any of them are read as paths of the source.
    frames = traceback_lines(
        re.sub(COPY.format(re.escape(str(workspace.root))), "", output), workspace.source
    )
    suspicion = spectrum.suspicion()
    for path, line, depth in frames:
        weight = 0.9 * 0.8**depth
        if not spectrum.failing_count or (path, line) not in suspicion:
            suspicion[path, line] = max(suspicion.get((path, line), 0.0), weight)
    files = _files(assignment, workspace, suspicion, frames)
    kept = set(files)
    lines = sorted(
        ((where, round(value, 4)) for where, value in suspicion.items() if where[0] in kept),
        key=lambda item: -item[1],
    )[:MAX_LINES]
    log(
        f"localised: {len(lines)} lines in {len(files)} files, "
        f"{spectrum.failing_count} failing and {spectrum.passing_count} passing tests traced"
    )
    return Observation(
        failing_output=failure.tail(MAX_OUTPUT),
        exit_status=failure.exit_status,
        seconds=failure.seconds,
        timed_out=failure.timed_out,
        traceback_lines=frames,
        suspicion=dict(lines),
        failing_tests=tuple(spectrum.failing_tests),
        passing_tests=tuple(spectrum.passing_tests),
        files=files,
    )


COPY = r"{}/copy-\d+/"


def _trace(
    command: str,
    workspace: Workspace,
    processes: Processes,
    failure: Finished,
) -> Steps[tuple[Finished, Spectrum]]:
    copy = workspace.copy()
    records = workspace.out / f"trace-{workspace.number()}"
    records.mkdir()
    workspace.sandbox.give(records)
    # A test that hangs is cut short, so that the others run and it has a traceback. Where nothing
    # hung before, no test is cut short but by a multiple of what all of them took.
    budget_s = min(TRACE_LIMIT_S, 10.0 + 20.0 * failure.seconds)
    limit_s = max(5.0, min(3 * failure.seconds, budget_s / 3))
    if failure.timed_out:
        limit_s = min(5.0, max(1.0, failure.seconds / 4))
        budget_s = 6 * limit_s
    env = dict(workspace.environment)
    env |= {
        "FIXWURX_PROBE_OUT": str(records),
        "FIXWURX_PROBE_ROOT": str(copy),
        "FIXWURX_PROBE_TEST_LIMIT_S": str(limit_s),
        "FIXWURX_PROBE_START_LIMIT_S": str(2 * limit_s if failure.timed_out else 0),
        "PYTHONPATH": os.pathsep.join([str(PROBE), env.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        "PYTEST_ADDOPTS": "-p fixwurx_probe_pytest -p no:cacheprovider",
    }
    try:
        running = processes.start(
            # A command that sets PYTHONPATH itself would hide the probe.
            re.sub(r"\bPYTHONPATH=([\"']?)", rf"PYTHONPATH=\g<1>{PROBE}:", command),
            cwd=copy,
            env=env,
            output=workspace.out / f"trace-output-{workspace.number()}",
            timeout_s=budget_s,
            writes=(copy, records),
            reads=(PROBE,),
        )
        finished = yield from until_finished(running)
        return finished, read(records)
    finally:
        workspace.discard(copy)


def _files(
    assignment: Assignment,
    workspace: Workspace,
    suspicion: Mapping[tuple[str, int], float],
    frames: Sequence[tuple[str, int, int]],
) -> tuple[str, ...]:
    """The files a fix may be in, most suspicious first."""
    rules = EditRules(files=assignment.files, commands=(assignment.reproduce, assignment.verify))
    score: dict[str, float] = {}
    for (path, _), value in suspicion.items():
        score[path] = max(score.get(path, 0.0), value)
    for path, _, depth in frames:
        score[path] = score.get(path, 0.0) + 1.0 / (1 + depth)
    allowed = [path for path in score if rules.refusal(path) is None]
    allowed.sort(key=lambda path: (-score[path], path))
    if not allowed or assignment.files:
        allowed += [path for path in _tree(workspace.source, rules) if path not in score]
    return tuple(allowed[:MAX_FILES])


def _tree(root: Path, rules: EditRules) -> list[str]:
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        for name in sorted(names):
            path = (Path(folder) / name).relative_to(root).as_posix()
            is_wanted = bool(rules.files) or name.endswith(".py")
            if is_wanted and not is_test_file(path) and rules.refusal(path) is None:
                found.append(path)
        if len(found) >= MAX_FILES:
            break
    return found


def to_json(observation: Observation, *, max_lines: int, max_output: int) -> JSON:
    """The observation as JSON, cut down to bounds for a checkpoint."""
    by_file: dict[str, list[list[float]]] = {}
    top = sorted(observation.suspicion.items(), key=lambda item: -item[1])[:max_lines]
    for (path, line), value in top:
        by_file.setdefault(path, []).append([line, value])
    return {
        "failing_output": observation.failing_output[-max_output:] if max_output else "",
        "exit_status": observation.exit_status,
        "seconds": observation.seconds,
        "timed_out": observation.timed_out,
        "traceback_lines": [list(frame) for frame in observation.traceback_lines[:max_lines]],
        "suspicion": by_file,
        "failing_tests": list(observation.failing_tests[: max_lines // 10]),
        "passing_tests": list(observation.passing_tests[: max_lines // 10]),
        "files": list(observation.files[: max_lines // 10]),
    }


def from_json(value: JSON) -> Observation:
    """The observation that `to_json` gave; anything else raises ValueError, KeyError, TypeError."""
    if not isinstance(value, Mapping):
        raise TypeError("observation in the checkpoint is no mapping")
    record: dict[str, object] = dict(value)

    def texts(key: str) -> tuple[str, ...]:
        items = record[key]
        if not isinstance(items, list):
            raise TypeError(f"{key} in the checkpoint is no list")
        return tuple(str(item) for item in items)

    frames, by_file = record["traceback_lines"], record["suspicion"]
    if not isinstance(frames, list) or not isinstance(by_file, dict):
        raise TypeError("observation in the checkpoint is malformed")
    return Observation(
        failing_output=str(record["failing_output"]),
        exit_status=int(str(record["exit_status"])),
        seconds=float(str(record["seconds"])),
        timed_out=bool(record["timed_out"]),
        traceback_lines=tuple((str(path), int(line), int(depth)) for path, line, depth in frames),
        suspicion={
            (str(path), int(line)): float(score)
            for path, lines in by_file.items()
            for line, score in lines
        },
        failing_tests=texts("failing_tests"),
        passing_tests=texts("passing_tests"),
        files=texts("files"),
    )
