"""A changing workload scales the cluster: up while bugs wait, down when they have ended.

Also a script, `python tests/test_load_scaling.py`, that prints what it sees.
"""

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fixwurx_celery import WorkerState
from tests.support.scaling_story import script, story


def test_load_scaling(say: Callable[[str], object]) -> None:
    with story(say, min_workers=1, max_workers=3) as it:
        say(f"started: {it.picture()}")
        assert it.nodes() == 1

        bugs = it.enqueue(3)
        it.comes_true("three bugs fill the node", lambda: len(it.running()) == 3)
        bugs += it.enqueue(6)
        it.comes_true("nine bugs run on three nodes", lambda: len(it.running()) == 9)
        assert it.nodes() == 3
        assert it.manager.get_allocation_status()["free_agents"] == 0
        assert it.coordinator.get_scaling_metrics()["utilization"] == 1
        say(f"why it grew: {it.decisions('out')[-1]}")

        bugs += it.enqueue(3)
        it.comes_true("three more wait, for three nodes are the most", lambda: it.waiting() == 3)
        assert it.nodes() == 3

        it.let_end(*bugs)
        it.comes_true("all have ended", lambda: not it.running() and not it.waiting())
        it.comes_true("one node is left", lambda: it.nodes() == 1)
        say(f"why it shrank: {it.decisions('in')[-1]}")

        records = it.manager.connection.store.bugs(bugs)
        assert [str(record.state) for record in records] == ["DONE"] * 12
        assert [record.runs for record in records] == [1] * 12, "scaling moved none of them"
        (left,) = it.coordinator.workers.values()
        assert left.state is WorkerState.READY

        again = it.enqueue(6)
        it.comes_true("and it grows again", lambda: len(it.running()) == 6)
        it.let_end(*again)


if __name__ == "__main__":
    script(test_load_scaling)
