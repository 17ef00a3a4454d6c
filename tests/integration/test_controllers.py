"""Any number of controllers and beats: each tick is carried out once, none is missed for long."""

import dataclasses
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.health import HEALTH_CHECK
from tests.support.surroundings import environment
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow
EVERY_S = 2.0
KILLS, SEED = 12, 20


class Process:
    """A controller or a beat, started again when it is killed."""

    def __init__(self, name: str, settings: Settings, folder: Path) -> None:
        self.name, self._folder = name, folder
        self._environment = environment(settings)
        self.start()

    def start(self) -> None:
        how = ["worker", "-n", f"{self.name}@here"]
        if self.name.startswith("both"):
            how += ["-B", "--schedule", str(self._folder / self.name), "--loglevel", "INFO"]
        if self.name.startswith("beat"):
            how = ["beat", "--schedule", str(self._folder / self.name), "--pidfile", ""]
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "fixwurx_celery.controller", *how],
                env=self._environment, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)


@pytest.fixture
def processes(settings: Settings, tmp_path: Path) -> Iterator[list[Process]]:
    """Two controllers and two beats."""
    quick = dataclasses.replace(settings, health_check_interval_sec=EVERY_S)
    names = ("controller1", "controller2", "beat1", "beat2")
    started = [Process(name, quick, tmp_path) for name in names]
    yield started
    for process in started:
        process.kill()


class Ticks:
    """Every tick that was carried out, as somebody sees it who looks all the time."""

    def __init__(self, store: ClusterStore) -> None:
        self._store = store
        self.ended: dict[int, int] = {}

    def look(self) -> int:
        """How many there were."""
        found: dict[str, str] = self._store.client.hgetall(  # type: ignore[assignment]
            f"{self._store.prefix}tick:{HEALTH_CHECK}"
        )
        if found.get("ended") == "1":
            self.ended[int(found["term"])] = int(found["at_ms"])
        return len(self.ended)

    def gaps_s(self) -> list[float]:
        times = [at_ms for _, at_ms in sorted(self.ended.items())]
        return [(after - before) / 1000 for before, after in itertools.pairwise(times)]


@pytest.mark.timeout(180)
def test_each_tick_is_carried_out_once_whichever_controller_or_beat_is_killed(
    processes: list[Process], live_store: ClusterStore
) -> None:
    ticks, rng = Ticks(live_store), random.Random(SEED)
    wait_until("the first ticks", lambda: ticks.look() >= 2, within_s=40)

    for _ in range(KILLS):
        victim = rng.choice(processes)
        deadline = time.monotonic() + rng.uniform(0.2, 2.5)
        while time.monotonic() < deadline:
            ticks.look()
        victim.kill()
        until = time.monotonic() + rng.uniform(1.0, 4.0)
        while time.monotonic() < until:
            ticks.look()
        victim.start()
    seen = ticks.look()
    wait_until("ticks go on", lambda: ticks.look() >= seen + 3, within_s=20)

    gaps = ticks.gaps_s()
    print(f"{len(gaps) + 1} ticks, gaps {min(gaps):.2f} to {max(gaps):.2f} s")
    assert sorted(ticks.ended.values()) == [at for _, at in sorted(ticks.ended.items())]
    assert min(gaps) >= 0.9 * EVERY_S - 0.01, "a tick was carried out twice"
    assert max(gaps) <= EVERY_S + 2.0


def test_a_beat_ends_with_its_controller_that_is_killed(settings: Settings, tmp_path: Path) -> None:
    both = Process("both", settings, tmp_path)
    main = psutil.Process(both.process.pid)

    def beat_has_begun() -> bool:
        return "beat: Starting..." in (tmp_path / "both.log").read_text()

    try:
        wait_until("beat has begun", beat_has_begun, within_s=20)
        (beat,) = main.children()
    finally:
        both.kill()

    wait_until("beat has ended", lambda: not beat.is_running())
