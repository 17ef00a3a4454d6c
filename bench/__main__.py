"""Runs the benchmarks, prints their tables, and writes results/*.json and RESULTS.md."""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from bench import (
    admission,
    end_to_end,
    engine_seam,
    executor,
    failover,
    heavy_tail,
    monitoring,
    sandbox,
    scaling,
    scaling_knobs,
    scaling_tick,
    submit,
)
from bench.figures import Report, show, write

__all__ = ["main"]

BENCHMARKS: dict[str, Callable[..., Report]] = {
    "admission": admission.measure,
    "submit": submit.measure,
    "end_to_end": end_to_end.measure,
    "heavy_tail": heavy_tail.measure,
    "failover": failover.measure,
    "executor": executor.measure,
    "engine_seam": engine_seam.measure,
    "sandbox": sandbox.measure,
    "scaling_tick": scaling_tick.measure,
    "scaling": scaling.measure,
    "scaling_knobs": scaling_knobs.measure,
    "monitoring": monitoring.measure,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all ran; what they measured is not judged here."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures on real processes beside plain Celery; about 25 minutes for all.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument(
        "--quick", action="store_true", help="one iteration of each, under a minute, not recorded"
    )
    parser.add_argument(
        "--out", type=Path, help="where RESULTS.md and results/ go (default: this folder)"
    )
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    # A terminated run must end its processes too: turn the signal into an exit that unwinds.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(width=None if sys.stdout.isatty() else 160)
    reports = []
    for name in given.names or BENCHMARKS:
        began = time.monotonic()
        report = BENCHMARKS[name](quick=given.quick)
        show(report, console)
        console.print(f"{name}: {time.monotonic() - began:.0f} s\n")
        reports.append(report)
        if given.out or not given.quick:
            write([report], given.out or Path(__file__).parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
