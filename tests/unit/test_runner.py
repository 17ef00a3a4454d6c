"""What the runner hears of its engine's process."""

import json
from multiprocessing import Pipe

import pytest

from fixwurx_celery.domain.clocks import RunClocks
from fixwurx_celery.worker.runner import Run, read_messages

DONE = {"done": {"outcome": "FIXED"}, "clean": True}


@pytest.fixture
def run() -> Run:
    return Run(bug_id="a", epoch=1, token="r1", clocks=RunClocks(60.0, {}, 0.0))


def test_an_outcome_counts_also_when_the_process_has_gone_home_since(run: Run) -> None:
    ours, theirs = Pipe()
    for message in ({"phase": "PATCH", "checkpoint": "7"}, DONE):
        theirs.send_bytes(json.dumps(message).encode())
    theirs.close()

    read_messages(ours, run)

    assert (run.ended, run.outcome, run.clocks.phase) == ("done", {"outcome": "FIXED"}, "PATCH")
    ours.close()


def test_a_process_that_ends_without_an_outcome_has_died(run: Run) -> None:
    ours, theirs = Pipe()
    theirs.send_bytes(json.dumps({"phase": "PATCH", "checkpoint": "7"}).encode())
    theirs.close()

    read_messages(ours, run)

    assert (run.ended, run.outcome, run.checkpoint) == ("died", None, "7")
    ours.close()
