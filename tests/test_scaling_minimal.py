"""The smallest use of horizontal scaling: one node, three bugs, their agents taken and freed.

Also a script, `python tests/test_scaling_minimal.py`, that prints what it sees.
"""

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fixwurx_celery import WorkerState
from tests.support.scaling_story import script, story

BUGS = ["BUG-001", "BUG-002", "BUG-003"]


def test_scaling_minimal(say: Callable[[str], object]) -> None:
    with story(say, max_workers=1) as it:
        manager, coordinator = it.manager, it.coordinator
        say(f"started: {it.picture()}")
        assert manager.cluster_state.total_agents == manager.cluster_state.free_agents == 9
        (node,) = coordinator.workers.values()
        assert node.worker_id == coordinator.local_worker_id
        assert node.state is WorkerState.READY
        assert node.is_available()

        for bug in BUGS:
            assert manager.can_allocate()
            assert manager.allocate(bug)
            say(f"{bug} is allocated to {manager.get_worker_for_bug(bug)}")
        assert dict(manager.bug_assignments) == dict.fromkeys(BUGS, node.worker_id)
        assert not manager.can_allocate(), "nine agents are three bugs"
        assert not manager.allocate("BUG-004"), "it refuses rather than waits"
        assert coordinator.workers[node.worker_id].utilization() == 1

        status = manager.get_allocation_status()
        say(f"status: {status}")
        assert status == {"total_agents": 9, "free_agents": 0, "active_bugs": status["active_bugs"]}
        assert sorted(status["active_bugs"]) == BUGS

        for bug in BUGS[:2]:
            assert manager.free_agents(bug)
            assert not manager.has(bug)
            say(f"{bug} is freed")
        assert manager.get_allocation_status() == {
            "total_agents": 9, "free_agents": 6, "active_bugs": BUGS[2:],
        }  # fmt: skip
        say(f"at the end: {it.picture()}")
    assert dict(coordinator.workers) == {}
    assert manager.get_allocation_status()["total_agents"] == 0


if __name__ == "__main__":
    script(test_scaling_minimal)
