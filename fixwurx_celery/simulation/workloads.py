"""The traces that come with the simulator: bugs of three agents that run six minutes on average.

Two of them are drawn without chance, for they ask whether the fleet comes to rest: `constant`, and
`square`, whose load jumps from one level to the other and back. The others are drawn from the seed.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from fixwurx_celery.simulation.trace import Arrival, Trace

__all__ = ["RANDOM_TRACES", "TRACES", "make_trace"]

HOUR: Final = 3600.0
MEAN_S: Final = 360.0
"""How long a bug runs on average: a minute or two for a clear one, half an hour for a hard one."""
SIGMA: Final = 0.8
"""Spread of the log of durations: one in twenty runs more than 16 minutes."""
PARETO_SHAPE: Final = 1.5
"""Heavy tail: the variance is infinite, so that the few longest bugs are most of the work."""
LONGEST_S: Final = 3 * HOUR


def make_trace(name: str, seed: int = 1) -> Trace:
    """The trace of that name; the same for the same seed. KeyError for an unknown one."""
    return TRACES[name](random.Random(seed))  # noqa: S311 - a simulation


def _constant(_: random.Random) -> Trace:
    """A bug every 15 s, each running six minutes: 24 at once, for six hours."""
    arrivals = [Arrival(at_s=15.0 * i, duration_s=MEAN_S) for i in range(int(6 * HOUR / 15))]
    return Trace(name="constant", arrivals=arrivals, length_s=6 * HOUR)


def _square(_: random.Random) -> Trace:
    """6 bugs at once, and 45 in every second hour, for eight hours: batches that are kept up."""
    arrivals = list(_lanes(0.0, 6, runs=84))
    for hour in (1, 3, 5, 7):
        arrivals += _lanes(hour * HOUR, 39, runs=10)
    return _sorted("square", arrivals, 8 * HOUR)


def _lanes(start_s: float, lanes: int, runs: int) -> Iterator[Arrival]:
    """So many bugs at once, each followed by the next like it. The lanes' durations differ by a few
    seconds, so that they do not stay in step."""
    for i in range(lanes):
        off_s = 30.0 * (i + 0.5) / lanes - 15.0
        yield Arrival(at_s=start_s, duration_s=MEAN_S + off_s, repeats=runs - 1)


def _steady(rng: random.Random) -> Trace:
    """24 bugs at once on average, coming at random, for twelve hours."""
    arrivals = _poisson(rng, 12 * HOUR, lambda _: 24 / MEAN_S, 24 / MEAN_S)
    return _sorted("steady", list(arrivals), 12 * HOUR)


def _step(rng: random.Random) -> Trace:
    """12 bugs at once on average, 48 from the third to the sixth hour, for eight hours."""

    def rate(at_s: float) -> float:
        return (48 if 2 * HOUR <= at_s < 5 * HOUR else 12) / MEAN_S

    return _sorted("step", list(_poisson(rng, 8 * HOUR, rate, 48 / MEAN_S)), 8 * HOUR)


def _diurnal(rng: random.Random) -> Trace:
    """A day: 6 bugs at once at night, 60 in the afternoon."""

    def rate(at_s: float) -> float:
        return (33 - 27 * math.cos(2 * math.pi * (at_s / HOUR - 3) / 24)) / MEAN_S

    return _sorted("diurnal", list(_poisson(rng, 24 * HOUR, rate, 60 / MEAN_S)), 24 * HOUR)


def _bursts(rng: random.Random) -> Trace:
    """A burst of about 20 bugs every 20 minutes, on 6 at once, Pareto durations; twelve hours."""
    length_s = 12 * HOUR
    arrivals = list(_poisson(rng, length_s, lambda _: 6 / MEAN_S, 6 / MEAN_S, _pareto))
    at_s = rng.expovariate(1 / 1200)
    while at_s < length_s:
        for _ in range(1 + int(rng.expovariate(1 / 20))):
            arrivals.append(
                Arrival(at_s=min(length_s, at_s + rng.uniform(0, 30)), duration_s=_pareto(rng))
            )
        at_s += rng.expovariate(1 / 1200)
    return _sorted("bursts", arrivals, length_s)


def _flash(rng: random.Random) -> Trace:
    """6 bugs at once on average, and 300 more within ten minutes after two hours; six hours."""
    arrivals = list(_poisson(rng, 6 * HOUR, lambda _: 6 / MEAN_S, 6 / MEAN_S))
    arrivals += [
        Arrival(at_s=2 * HOUR + rng.uniform(0, 600), duration_s=_lognormal(rng)) for _ in range(300)
    ]
    return _sorted("flash", arrivals, 6 * HOUR)


def _lognormal(rng: random.Random) -> float:
    return min(LONGEST_S, rng.lognormvariate(math.log(MEAN_S) - SIGMA**2 / 2, SIGMA))


def _pareto(rng: random.Random) -> float:
    return min(LONGEST_S, MEAN_S / 3 * rng.paretovariate(PARETO_SHAPE))


def _poisson(
    rng: random.Random,
    length_s: float,
    rate: Callable[[float], float],
    most: float,
    duration: Callable[[random.Random], float] = _lognormal,
) -> Iterator[Arrival]:
    """Independent arrivals at that rate, which is never above `most` (thinning)."""
    at_s = rng.expovariate(most)
    while at_s < length_s:
        if rng.uniform(0, most) < rate(at_s):
            yield Arrival(at_s=at_s, duration_s=duration(rng))
        at_s += rng.expovariate(most)


def _sorted(name: str, arrivals: list[Arrival], length_s: float) -> Trace:
    arrivals.sort(key=lambda one: one.at_s)
    return Trace(name=name, arrivals=arrivals, length_s=length_s)


TRACES: Final[Mapping[str, Callable[[random.Random], Trace]]] = MappingProxyType(
    {
        "constant": _constant,
        "steady": _steady,
        "step": _step,
        "square": _square,
        "diurnal": _diurnal,
        "bursts": _bursts,
        "flash": _flash,
    }
)
"""By name. The first line of each one's docstring says what it is."""
RANDOM_TRACES: Final = frozenset(TRACES) - {"constant", "square"}
"""Those that differ from seed to seed."""
