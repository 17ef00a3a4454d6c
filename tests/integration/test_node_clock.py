"""A node whose clock is an hour off is a node like any other: only the store's clock counts."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from fixwurx_celery.domain.nodes import WorkerState
from fixwurx_celery.store.invariants import violations
from tests.support.own_cluster import OwnCluster
from tests.support.processes import NodeProcess, nodes, start_node
from tests.support.server import NoServer, start_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

HOUR_S = 3600


# libfaketime shifts the monotonic clock too, and then a thread that waits for a third of a second
# waits for an hour; told not to, it breaks every sleep. Only the wall clock is to be wrong here.
SKEWED = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *t) {
    int (*next)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = next(id, t);
    if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) t->tv_sec += SKEW_S;
    return failed;
}
int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec, t->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return t ? (*t = now.tv_sec) : now.tv_sec;
}
"""


def clock_that_is_off_by(seconds: int, folder: Path) -> Sequence[str]:
    """What goes before a command to give it a wall clock that is wrong by so much."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler, to make a wrong clock with")
    source, library = folder / "skewed.c", folder / "skewed.so"
    source.write_text(SKEWED)
    subprocess.run(
        [compiler, "-shared", "-fPIC", f"-DSKEW_S={seconds}", "-o", library, source, "-ldl"],
        check=True,
    )
    wrong = ("env", f"LD_PRELOAD={library}")
    says = [*wrong, sys.executable, "-c", "import time; print(time.time())"]
    said = subprocess.run(says, capture_output=True, text=True, check=True)
    assert abs(float(said.stdout) - time.time() - seconds) < 60, "the clock is right"
    return wrong


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[OwnCluster]:
    try:
        server = start_server(tmp_path / "server")
    except NoServer as error:
        pytest.skip(str(error))
    with server:
        made = OwnCluster(server, tmp_path)
        yield made
        made.close()


@pytest.mark.parametrize("hours", [1, -1])
def test_a_node_with_a_wrong_clock_works_beats_and_fails_others_over(
    cluster: OwnCluster, hours: int
) -> None:
    wrong = clock_that_is_off_by(hours * HOUR_S, cluster.folder)
    with nodes(cluster.settings, cluster.store, cluster.folder, "right@here") as (right,):
        off = start_node(cluster.settings, cluster.store, "off@here", cluster.folder, before=wrong)
        try:
            look_at(cluster, right, off)
        finally:
            off.process.kill()
            off.process.wait(timeout=10)


def look_at(cluster: OwnCluster, right: NodeProcess, off: NodeProcess) -> None:
    lives, timeout_s = cluster.lives(), cluster.settings.heartbeat_timeout_sec
    cluster.submit(*(cluster.bug(0.5, 0.5) for _ in range(int(timeout_s) * 6 + 6)))
    cluster.ended()
    cluster.check()
    assert cluster.lives() == lives
    now_ms = cluster.store.snapshot().now_ms
    for record in cluster.store.bugs(cluster.bugs):
        times = (record.assigned_ms, record.started_ms, record.finished_ms)
        assert all(now_ms - 60_000 < at_ms <= now_ms for at_ms in times if at_ms is not None)
    assert {r.worker_id for r in cluster.store.bugs(cluster.bugs)} == {"right@here", "off@here"}

    cluster.bugs.clear()
    ids = cluster.submit(*(cluster.bug(*[0.5] * 14, agents=2) for _ in range(4)))
    cluster.running(*ids)
    moving = [r.id for r in cluster.store.bugs(ids) if r.worker_id == right.name]
    main = psutil.Process(right.process.pid)
    frozen = [main, *main.children(recursive=True)]
    for process in frozen:
        os.kill(process.pid, signal.SIGSTOP)

    wait_until(
        "only the other is left to see that it is silent, and does",
        lambda: all(r.worker_id == off.name for r in cluster.store.bugs(moving)),
        within_s=timeout_s + 1,
    )
    for process in frozen:
        os.kill(process.pid, signal.SIGCONT)
    wait_until("it serves again", lambda: right.state() is WorkerState.READY)
    cluster.running(*ids)
    staying = [r.id for r in cluster.store.bugs(ids)]

    off.kill()

    wait_until(
        "its bugs run elsewhere",
        lambda: all(r.worker_id == right.name for r in cluster.store.bugs(staying)),
        within_s=2,
    )
    for record in cluster.ended():
        assert (record.outcome["outcome"], record.attempts) == ("FIXED", 0)
    assert violations(cluster.store, patience_s=3) == []
