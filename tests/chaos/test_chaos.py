"""Everything is killed, stopped and restarted at random, and every bug comes to its known end.

    make chaos                                  two minutes, 250 bugs
    FIXWURX_CHAOS_SECONDS=600 FIXWURX_CHAOS_BUGS=1000 make chaos
    python -m pytest -m chaos tests/chaos/test_chaos.py --seed 7

The seed decides the bugs, the strikes and their times; which process a strike meets depends on what
runs at that moment.
"""

import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fixwurx_celery.domain.bugs import TERMINAL
from fixwurx_celery.store import ClusterStore
from tests.chaos.checks import (
    Finding,
    Overlaps,
    check_history,
    check_outcomes,
    check_overlaps,
    check_store,
)
from tests.chaos.client import Client, plan_drains
from tests.chaos.fleet import Fleet
from tests.chaos.leftovers import (
    left_children,
    left_in_store,
    left_of_fleet,
    left_when_expired,
    queues_are_deleted,
)
from tests.chaos.nemesis import Nemesis, plan
from tests.chaos.report import report
from tests.chaos.work import ENGINE, make_tasks

SECONDS = float(os.environ.get("FIXWURX_CHAOS_SECONDS", "120"))
BUGS = int(os.environ.get("FIXWURX_CHAOS_BUGS", "250"))
NODES, AGENTS = 4, 3
ALL_END_WITHIN_S = max(240.0, 0.6 * BUGS)
"""What waits when the strikes are over is worked off; a busy machine takes its time."""
ALL_STOP_WITHIN_S = 60.0


@pytest.mark.chaos
@pytest.mark.timeout(SECONDS + 900)
def test_whatever_dies_every_bug_comes_to_its_known_end_and_nothing_is_left(
    fleet: Callable[..., Fleet], seed: int, say: Callable[[str], None], tmp_path: Path
) -> None:
    say(f"seed {seed}: {BUGS} bugs, {SECONDS:g} s of strikes")
    rng = random.Random(seed)
    cluster = fleet(
        engine=ENGINE,
        total_agents=AGENTS,
        heartbeat_interval_sec=0.5,
        heartbeat_timeout_sec=4,
        lease_sec=8,
        ring_after_sec=1,
        health_check_interval_sec=1,
        drain_timeout_sec=4,
        backoff_sec=0.05,
        max_attempts=12,
        max_losses=100,
    )
    trace = tmp_path / "trace"
    trace.mkdir()
    tasks = make_tasks(random.Random(rng.random()), BUGS, SECONDS, trace)
    strikes = plan(random.Random(rng.random()), SECONDS, cluster.settings)
    drains = plan_drains(random.Random(rng.random()), SECONDS)
    for add in (*[cluster.add_node] * NODES, *[cluster.add_controller, cluster.add_beat] * 2):
        add()
    client = Client(cluster.settings, cluster.environment, tmp_path, tasks, drains)
    store = client.manager.connection.store
    cluster.wait(
        "all nodes are in service", lambda: store.snapshot().live_nodes == NODES, within_s=60
    )

    client.thread.start()
    nemesis = Nemesis(cluster, list(strikes))
    cluster.wait("the strikes are over", lambda: _struck(nemesis, client), within_s=SECONDS + 120)
    nemesis.calm()
    cluster.wait("the client is done", lambda: not client.thread.is_alive(), within_s=180)
    assert client.error is None, f"the client failed: {client.error!r}"

    ids = [task.bug.id for task in tasks]
    with contextlib.suppress(AssertionError):  # what has not ended then is found below
        cluster.wait("all bugs end", lambda: not _open(store, ids), within_s=ALL_END_WITHIN_S)
        nemesis.say("all bugs have ended")
    found = check_outcomes(store, tasks, client.cancelled, cluster.settings.max_attempts)
    found += check_store(store)
    found += check_history(store)
    overlaps = check_overlaps(trace, nemesis.freezes)
    found += overlaps.findings
    summary = _summary(cluster, store, ids, overlaps, len(strikes))
    if unended := _open(store, ids):
        found.insert(0, Finding(f"{len(unended)} bugs have not ended after {ALL_END_WITHIN_S:g} s"))
    else:
        found += [Finding(f"left by a bug: {line}") for line in left_children(cluster)]
        found += _end(cluster, store)

    text = report(seed, found, nemesis, client, store, trace, cluster)
    client.close()
    say(summary)
    assert not found, text


def _struck(nemesis: Nemesis, client: Client) -> bool:
    nemesis.step()
    return not nemesis.strikes or client.error is not None


def _open(store: ClusterStore, ids: Sequence[str]) -> list[str]:
    return [record.id for record in store.bugs(ids) if record.state not in TERMINAL]


def _end(cluster: Fleet, store: ClusterStore) -> list[Finding]:
    """Stops the fleet; what is left of it."""
    left = left_in_store(store, [s.name for s in cluster.services if s.is_wanted])
    statuses = cluster.stop("node", within_s=ALL_STOP_WITHIN_S)
    cluster.wait(
        "the last queues are deleted", lambda: queues_are_deleted(store), within_s=ALL_STOP_WITHIN_S
    )
    statuses |= cluster.stop("controller", "beat", within_s=ALL_STOP_WITHIN_S)
    wrong = [f"{name} ended with {status}" for name, status in statuses.items() if status]
    left += [f"{line}, of the stopped fleet" for line in left_in_store(store, [])]
    left += left_of_fleet(cluster) + left_when_expired(cluster.settings)
    return [Finding(f"left: {line}") for line in left] + [Finding(line) for line in wrong]


def _summary(
    cluster: Fleet, store: ClusterStore, ids: Sequence[str], overlaps: Overlaps, strikes: int
) -> str:
    records = store.bugs(ids)
    states = Counter(str(record.state) for record in records)
    failed = Counter(
        f"{service.kind} with {status}"
        for service in cluster.services
        for status in service.statuses
        if status not in (0, -signal.SIGKILL)
    )
    return (
        f"{strikes} strikes; {len(records)} bugs ended in {overlaps.runs} runs: {dict(states)}; "
        f"{sum(r.attempts for r in records)} attempts and {sum(r.losses for r in records)} losses "
        f"charged; {overlaps.frozen} overlaps with a frozen run; "
        f"{sum(service.starts for service in cluster.services)} starts of "
        f"{len(cluster.services)} services; ended by themselves: {dict(failed) or 'none'}"
    )
