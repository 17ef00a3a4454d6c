"""Celery workers as real processes: ours and plain ones, started, awaited, weighed and ended."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from fixwurx_celery.processes import die_with_parent

__all__ = ["Workers", "await_that", "cpu_ms", "group_pss_mb"]

ROOT = Path(__file__).resolve().parent.parent
STOP_DEADLINE_S = 20.0


class Workers:
    """The workers of one benchmark. All are ended when the block is left, however it is."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="fixwurx-bench-")

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()
        if kind is not None and not issubclass(kind, KeyboardInterrupt):
            for log in sorted(Path(self._folder.name).glob("*.log")):
                if text := log.read_text("utf-8", "replace").strip():
                    print(f"--- {log.name}\n{text[-1500:]}", file=sys.stderr)
        self._folder.cleanup()

    def start(self, name: str, app: str, concurrency: int, **environment: str) -> None:
        """Starts `celery -A app worker -n name@%h` with that many pool processes."""
        me = os.getpid()
        kept = {key: value for key, value in os.environ.items() if not key.startswith("FIXWURX_")}
        kept.update(environment, PYTHONPATH=str(ROOT))
        with (Path(self._folder.name) / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                [
                    sys.executable,
                    *f"-m celery -A {app} worker -n {name}@%h -c {concurrency}".split(),
                ],
                cwd=ROOT,
                env=kept,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(me),
            )

    def start_node(
        self, name: str, url: str, agents: int, namespace: str = "bench", **more: str
    ) -> None:
        """Starts one of our nodes, with the benchmark's engine unless another is named."""
        self.start(
            name,
            "fixwurx_celery",
            agents,
            FIXWURX_REDIS_URL=url,
            **{
                "FIXWURX_NAMESPACE": namespace,
                "FIXWURX_TOTAL_AGENTS": str(agents),
                "FIXWURX_ENGINE": "bench.engines:timed",
                "FIXWURX_WORK_DIR": self._folder.name,
                **more,
            },
        )

    def start_plain(self, name: str, url: str, concurrency: int, *, reliable: bool) -> None:
        """Starts a plain Celery worker."""
        self.start(
            name,
            "bench.plain",
            concurrency,
            BENCH_PLAIN_URL=url,
            BENCH_PLAIN_RELIABLE="1" if reliable else "0",
        )

    def pids(self, name: str) -> list[int]:
        """The worker's main process and everything below it."""
        main = psutil.Process(self._running[name].pid)
        return [main.pid, *(child.pid for child in main.children(recursive=True))]

    def kill(self, name: str) -> None:
        """kill -9 of everything that belongs to the worker."""
        pids = self.pids(name)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # it died with one that was killed before
                continue
        self._running.pop(name).wait(timeout=10)

    def stop(self, *names: str) -> None:
        """Ends these workers (none given: all), gently first."""
        chosen = {name: self._running.pop(name) for name in names or list(self._running)}
        for process in chosen.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_DEADLINE_S
        for process in chosen.values():
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(timeout=5)


def cpu_ms(pids: Iterable[int]) -> float:
    """Processor time that these processes have taken so far. What another process takes from them
    does not count, so it tells more than the clock on a machine that others use too."""
    total_ns = 0
    for pid in pids:
        for schedstat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total_ns += int(schedstat.read_text("ascii").split()[0])
            except OSError:
                continue
    return total_ns / 1e6


def await_that(what: str, claim: Callable[[], Any], *, within_s: float) -> Any:
    """What `claim` answers as soon as that is true. Raises TimeoutError naming `what`."""
    deadline = time.monotonic() + within_s
    while not (answer := claim()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within_s:g} s")
        time.sleep(0.05)
    return answer


def group_pss_mb(pids: list[int]) -> Mapping[str, float]:
    """Memory of these processes together: `pss` (each shared page once, in shares) and `uss`."""
    total = {"pss": 0, "uss": 0}
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
            key, _, rest = line.partition(":")
            if key == "Pss":
                total["pss"] += int(rest.split()[0])
            elif key in ("Private_Clean", "Private_Dirty"):
                total["uss"] += int(rest.split()[0])
    return {key: kilobytes / 1024 for key, kilobytes in total.items()}
