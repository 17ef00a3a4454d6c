"""What the runner hears of its engine's process."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import pytest

from fixwurx_celery.domain.clocks import RunClocks
from fixwurx_celery.worker.engine_pipe import End
from fixwurx_celery.worker.run import Run

DONE = {"done": {"outcome": "FIXED"}, "clean": True}


@pytest.fixture
def run() -> Run:
    return Run(bug_id="a", epoch=1, token="r1", clocks=RunClocks(60.0, {}, 0.0))


@contextmanager
def having_said(*messages: dict[str, Any], and_gone: bool = False) -> Iterator[Connection]:
    """The runner's end of a pipe to a process that said this."""
    ours, theirs = Pipe()
    for message in messages:
        theirs.send_bytes(json.dumps(message).encode())
    if and_gone:
        theirs.close()
    yield ours
    ours.close()
    theirs.close()


def test_an_outcome_counts_also_when_the_process_has_gone_home_since(run: Run) -> None:
    with having_said({"phase": "PATCH", "checkpoint": "7"}, DONE, and_gone=True) as pipe:
        run.hear(pipe, 1.0)

    assert (run.ended, run.outcome, run.clocks.phase) == (End.DONE, {"outcome": "FIXED"}, "PATCH")


def test_a_process_that_ends_without_an_outcome_has_died(run: Run) -> None:
    with having_said({"phase": "PATCH", "checkpoint": "7"}, and_gone=True) as pipe:
        run.hear(pipe, 1.0)

    assert (run.ended, run.outcome, run.checkpoint) == (End.DIED, None, "7")


@pytest.mark.parametrize(
    ("message", "is_due"),
    [
        ({"phase": "TRIAGE"}, False),  # the store has it from the start
        ({"phase": "REPRO"}, True),
        ({"phase": "TRIAGE", "checkpoint": "7"}, True),
        ({"phase": "TRIAGE", "checkpoint": "", "waits": True}, True),
    ],
)
def test_what_another_node_would_need_is_reported_at_once(
    run: Run, message: dict[str, Any], is_due: bool
) -> None:
    run.reported_at = 10.0
    with having_said(message) as pipe:
        run.hear(pipe, 10.5)

    assert run.is_report_due(10.5) is is_due
    assert run.is_report_due(11.0)


def test_a_process_that_stops_when_it_is_told_has_not_died(run: Run) -> None:
    run.end_within_grace(End.CANCELLED, 1.0)
    with having_said({"stopped": True}) as pipe:
        run.hear(pipe, 1.5)

    assert run.ended is End.CANCELLED


def test_nor_has_one_that_is_gone_then(run: Run) -> None:
    run.end_within_grace(End.MOVED, 1.0)
    with having_said({"phase": "PATCH", "checkpoint": "7"}, and_gone=True) as pipe:
        run.hear(pipe, 1.5)

    assert (run.ended, run.checkpoint) == (End.MOVED, "7")


@pytest.mark.parametrize(
    ("end", "ended"),
    [
        (End.MOVED, End.DONE),
        (End.CANCELLED, End.CANCELLED),
        (End.TIMED_OUT, End.TIMED_OUT),
    ],
)
def test_an_answer_in_the_last_moment_saves_a_move_and_nothing_else(
    run: Run, end: End, ended: End
) -> None:
    run.end_within_grace(end, 1.0)
    with having_said(DONE) as pipe:
        run.hear(pipe, 1.5)

    assert run.ended is ended
    assert not run.clean  # the order that it has not read is not to be read by the next bug
