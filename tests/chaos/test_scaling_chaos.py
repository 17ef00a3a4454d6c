"""Real nodes, started and stopped by real controllers on the `local` provider, some of them killed.

pytest -m chaos -s tests/chaos/test_scaling_chaos.py
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from fixwurx_celery.cluster import Connection
from fixwurx_celery.domain.bugs import Bug
from fixwurx_celery.store import ClusterStore, Event
from fixwurx_celery.store.event_log import whole_log
from fixwurx_celery.store.scaling_state import ScalingState
from tests.chaos.checks import check_history, check_store
from tests.chaos.fleet import Fleet

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

INTERVAL_S = 2.0
ROUNDS = 4
SCALE_INS = 20
"""Nodes that are scaled in, at least."""


@dataclass(slots=True)
class Book:
    """What the event log says of nodes that were told to end."""

    holds: dict[str, set[str]] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    stopped_busy: list[str] = field(default_factory=list)
    given_back: list[str] = field(default_factory=list)

    def read(self, log: Iterator[Event]) -> "Book":
        for event in log:
            held = self.holds.setdefault(event.node, set())
            match event.action:
                case "bug_assigned":
                    held.add(event.bug)
                case "bug_finished":
                    held.discard(event.bug)
                case "bug_given_back":
                    held.discard(event.bug)
                    self.given_back.append(f"{event.bug}: {event.detail}")
                case "launch_moved" if event.detail.startswith("STOPPING"):
                    self.stopped.append(event.node)
                    if held:
                        self.stopped_busy.append(f"{event.node} holds {sorted(held)}")
        return self


def bugs(name: str, count: int, seconds: Callable[[], float]) -> list[Bug]:
    return [
        Bug(id=f"{name}-{i}", payload={"steps": [{"sleep_s": round(seconds(), 2)}]})
        for i in range(count)
    ]


def ended(store: ClusterStore) -> int:
    stats = store.snapshot(most_nodes=0).stats
    return sum(stats.get(state, 0) for state in ("DONE", "ESCALATED", "CANCELLED"))


def test_thirty_bugs_have_all_nodes_at_work_as_soon_as_those_can_boot(
    fleet: Callable[..., Fleet], say: Callable[[str], None]
) -> None:
    cluster = fleet(
        engine="tests.support.engines:Scripted", provider="local", min_workers=0, max_workers=5,
        scaling_interval_sec=INTERVAL_S, scale_down_window_sec=4, total_agents=9,
    )  # fmt: skip
    connection = Connection(cluster.settings)
    store = connection.store
    state = ScalingState(store)
    cluster.add_node()
    cluster.add_controller()
    cluster.add_beat()
    cluster.wait("the node is ready", lambda: store.snapshot().free_agents == 9, within_s=60)
    cluster.wait("a tick is carried out", lambda: bool(state.decisions(1)), within_s=60)

    for number in range(ROUNDS):
        since = state.decisions(1)[0].id
        began_ms = store.snapshot().now_ms
        connection.submit(bugs(f"r{number}", 30, lambda: 20.0))
        cluster.wait(
            "five nodes are at work",
            lambda: store.snapshot().total_agents == 45 and store.snapshot().free_agents == 0,
            within_s=90,
        )
        full_s = (store.snapshot().now_ms - began_ms) / 1000
        out = [one for one in state.decisions(50) if one.id > since and one.action == "out"][-1]
        boot_s = max(state.observe(60, "").boots_ms[:4]) / 1000
        decided_s = (out.at_ms - began_ms) / 1000
        say(
            f"round {number}: decided after {decided_s:.2f} s (a tick each {INTERVAL_S:g} s), "
            f"boot {boot_s:.2f} s, all 45 agents at work after {full_s:.2f} s"
        )
        assert len(out.told["launch"]) + len(out.told["resume"]) == 4, out.told
        done = 30 * (number + 1)
        cluster.wait("they end", lambda done=done: ended(store) == done, within_s=120)
        cluster.wait("the four go", lambda: not state.observe(9, "").launches, within_s=60)
    assert Book().read(whole_log(store)).stopped_busy == []
    connection.close()


def test_no_busy_node_is_stopped_and_none_is_left_whichever_controllers_are_killed(
    fleet: Callable[..., Fleet], seed: int, say: Callable[[str], None]
) -> None:
    say(f"seed {seed}")
    rng = random.Random(seed)
    cluster = fleet(
        engine="tests.support.engines:Scripted", provider="local", min_workers=0, max_workers=4,
        scaling_interval_sec=1.0, scale_down_window_sec=3, total_agents=3, drain_timeout_sec=5,
    )  # fmt: skip
    connection = Connection(cluster.settings)
    store = connection.store
    for _ in range(2):
        cluster.add_controller()
    cluster.add_beat()
    submitted = kills = 0
    began = time.monotonic()
    while len(Book().read(whole_log(store)).stopped) < SCALE_INS:
        assert time.monotonic() - began < 600, "twenty nodes should long have been scaled in"
        count = rng.randint(4, 10)
        connection.submit(bugs(f"w{submitted}", count, lambda: rng.expovariate(1 / 3)))
        submitted += count
        strikes = [time.monotonic() + rng.uniform(0, 20) for _ in range(3)]
        until = time.monotonic() + 20
        while time.monotonic() < until:
            cluster.look_after()
            time.sleep(0.05)
            if strikes and time.monotonic() > min(strikes):
                strikes.remove(min(strikes))
                victims = [one for one in cluster.of("controller") if one.is_running]
                if victims:
                    os.kill(rng.choice(victims).pid, signal.SIGKILL)
                    kills += 1
    cluster.wait("all bugs end", lambda: ended(store) == submitted, within_s=120)
    cluster.wait("all nodes go", lambda: not store.snapshot().live, within_s=60)
    cluster.wait(
        "no launch is left", lambda: not ScalingState(store).observe(9, "").launches, within_s=60
    )

    book = Book().read(whole_log(store))
    say(
        f"{submitted} bugs, {len(book.stopped)} scale-ins, {kills} controllers killed, "
        f"{time.monotonic() - began:.0f} s"
    )
    assert book.stopped_busy == []
    assert book.given_back == []
    assert [*check_store(store), *check_history(store)] == []
    cluster.stop("controller", "beat", within_s=30)
    left = [process for process in cluster.processes() if "worker" in process.cmdline()]
    assert left == []
    connection.close()
