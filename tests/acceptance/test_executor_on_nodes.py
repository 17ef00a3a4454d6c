"""FixWurx's executor over real nodes, one of which is killed: each bug is completed once, and what
was done of it before is not done again."""

import asyncio
import json
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from fixwurx_celery import ClusterResourceManager, Connection, ParallelExecutor
from fixwurx_celery.settings import Settings
from tests.support.engines import TWENTY_TICKS
from tests.support.processes import NodeProcess, nodes

NODES = ("n1@here", "n2@here", "n3@here")


@dataclass
class SomeBug:
    bug_id: str
    entropy: float
    payload: dict[str, Any]


class Scheduler:
    """As FixWurx's."""

    def __init__(self, bugs: list[SomeBug]) -> None:
        self.active = {bug.bug_id: bug for bug in bugs}
        self.completions: Counter[str] = Counter()

    async def get_active_bugs(self) -> list[SomeBug]:
        return list(self.active.values())

    async def mark_bug_complete(self, bug_id: str) -> None:
        self.completions[bug_id] += 1
        self.active.pop(bug_id, None)


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    return Settings(
        redis_url=redis_url,
        namespace=f"t{uuid.uuid4().hex[:12]}",
        engine="tests.support.engines:triangle",
        work_dir=str(tmp_path / "work"),
        heartbeat_interval_sec=0.3,
        heartbeat_timeout_sec=5,
        lease_sec=8,
        ring_after_sec=1,
    )


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    with Connection(settings) as made:
        yield made


@pytest.mark.parametrize("count", [24, pytest.param(500, marks=pytest.mark.slow)])
def test_each_bug_is_completed_once_although_a_node_is_killed(
    connection: Connection, settings: Settings, tmp_path: Path, count: int
) -> None:
    ticks = tmp_path / "ticks"
    payload = {"ticks": str(ticks), "work_s": 0.004 if count > 100 else 0.01}
    scheduler = Scheduler([SomeBug(f"BUG-{n}", n % 40 / 10, payload) for n in range(count)])
    store = connection.store
    struck: dict[str, str] = {}

    async def work(victim: NodeProcess) -> None:
        manager = ClusterResourceManager(connection=connection)
        deadline = time.monotonic() + 100
        async with ParallelExecutor(scheduler, manager) as executor:
            while scheduler.active:
                assert time.monotonic() < deadline, executor.get_executor_metrics()
                await executor.tick_all()
                await asyncio.sleep(0.02)
                if not struck and executor.completed >= count // 3:
                    struck.update(kill_while_it_works(victim))
            assert executor.completed == count

    def kill_while_it_works(victim: NodeProcess) -> dict[str, str]:
        """The node and all below it, at once; which bugs ran there, and their phases."""
        held = next(node for node in store.snapshot().nodes if node.worker_id == victim.name).bugs
        family = psutil.Process(victim.process.pid)
        for process in [family, *family.children(recursive=True)]:
            process.kill()
        victim.process.wait(timeout=10)
        return {record.id: record.phase for record in store.bugs(list(held))}

    with nodes(settings, store, tmp_path, *NODES) as started:
        asyncio.run(work(started[0]))

    assert scheduler.completions == Counter({f"BUG-{n}": 1 for n in range(count)})
    assert struck, "the node was killed while it ran bugs"
    records = {record.id: record for record in store.bugs(list(scheduler.completions))}
    assert {str(record.state) for record in records.values()} == {"DONE"}
    moved = {bug for bug, record in records.items() if record.losses}
    assert moved, "some bugs went elsewhere"
    assert moved <= struck.keys()
    lines = [json.loads(line) for line in ticks.read_text().splitlines()]
    check_ticks(lines, moved)


def check_ticks(lines: list[dict[str, Any]], moved: set[str]) -> None:
    """Every tick was done; none twice, but those of one phase of a bug that moved: the one in which
    it was struck."""
    done: dict[str, Counter[tuple[str, int]]] = defaultdict(Counter)
    for line in lines:
        done[line["bug"]][line["phase"], line["timer"]] += 1
    planned = {(phase, timer) for phase, most in TWENTY_TICKS.items() for timer in range(most)}
    for bug, counted in done.items():
        assert counted.keys() == planned, f"{bug} did {sorted(counted)}"
        twice = {phase for (phase, _), times in counted.items() if times > 1}
        assert len(twice) <= (bug in moved), f"{bug} did ticks of {twice} twice"
        assert max(counted.values()) <= 2
