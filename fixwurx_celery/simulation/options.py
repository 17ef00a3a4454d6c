"""The settings that are compared: of each scaler its main knob, of ours all that there are."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, Final

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.domain.scaling import ScalingPolicy
from fixwurx_celery.simulation.bounds import mean_nodes, peak_nodes
from fixwurx_celery.simulation.run import Scaler
from fixwurx_celery.simulation.scalers import (
    FixedScaler,
    HpaScaler,
    KedaScaler,
    PolicyScaler,
    RayScaler,
)
from fixwurx_celery.simulation.trace import Trace

__all__ = ["OURS", "Option", "options"]

OURS: Final = "fixwurx"
INTERVAL_S: Final = 30.0
TARGETS: Final = (0.4, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)
WINDOWS_S: Final = (0.0, 60.0)
INTERVALS_S: Final = (5.0, 30.0)
WAITS_S: Final = (60.0, 120.0, 180.0, 240.0, 300.0, 360.0, 480.0, 600.0, 720.0, 900.0, 1500.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One setting of one scaler, which `make` builds for a run. `is_default` marks the one that
    its documentation gives."""

    scaler: str
    knobs: str
    make: Callable[[Trace], Scaler]
    is_default: bool = False


def options(traces: Sequence[Trace], spec: NodeSpec, most: int) -> list[Option]:
    """Every setting that is compared, ours first. All know one kind of node, and at most `most`."""
    mean = max(1, math.ceil(max(mean_nodes(trace, spec) for trace in traces)))
    peak = min(most, max(peak_nodes(trace, spec) for trace in traces))
    return [*_ours(spec, mean, peak, most), *_others(spec, mean, peak, most)]


def _ours(spec: NodeSpec, mean: int, peak: int, most: int) -> list[Option]:
    usual = (1, most)

    def one(least: int, most: int, interval_s: float, **knobs: Any) -> Option:
        policy = ScalingPolicy(specs=[spec], min_workers=least, max_workers=most, **knobs)
        bounds = f"{least}..{most} nodes, " if (least, most) != usual else ""
        wait = f", wait {policy.acceptable_wait_s:g} s" if policy.acceptable_wait_s else ""
        return Option(
            scaler=OURS,
            knobs=f"{bounds}{policy.target:g}, {policy.window_s:g} s, each {interval_s:g} s{wait}",
            make=lambda trace: PolicyScaler(policy, trace.arrivals, interval_s),
            is_default=(least, most, interval_s, knobs) == (*usual, INTERVAL_S, {}),
        )

    found = [one(1, most, INTERVAL_S)]
    found += [
        one(1, most, interval_s, target=target, window_s=window_s)
        for target, window_s, interval_s in product(TARGETS, WINDOWS_S, INTERVALS_S)
    ]
    found += [
        one(1, most, 15.0, target=target, window_s=window_s)
        for target, window_s in product((0.9, 0.95, 0.98, 0.99, 1.0), WINDOWS_S)
    ]
    # Where bugs may wait for long, that is the knob, or the bound on nodes; where none may, the
    # floor.
    found += [
        one(1, most, INTERVAL_S, target=1.0, window_s=window_s, acceptable_wait_s=wait_s)
        for wait_s, window_s in product(WAITS_S, (0.0, 60.0))
    ]
    found += [
        one(1, min(most, math.ceil(mean * share)), INTERVAL_S, target=1.0)
        for share in (1.0, 1.25, 1.5)
    ]
    found += [
        one(max(1, math.ceil(peak * share)), peak, 5.0, target=0.9) for share in (0.25, 0.5, 0.75)
    ]
    return [*found, *(one(nodes, nodes, INTERVAL_S) for nodes in (mean, peak))]


def _others(spec: NodeSpec, mean: int, peak: int, most: int) -> list[Option]:
    found = [
        _other(
            "HPA, all bugs",
            f"averageValue {target:g}",
            partial(HpaScaler, spec, 1, most, target, counts_running=True),
        )
        for target in (1.8, 2.1, 2.4, 2.7, 3.0, 3.3)
    ]
    found += [
        _other(
            "HPA, waiting bugs",
            f"averageValue {target}",
            partial(HpaScaler, spec, 1, most, target, counts_running=False),
        )
        for target in (1, 2, 3, 5, 8)
    ]
    found += [
        _other(
            "KEDA",
            f"listLength {target}, minReplicaCount {least}",
            partial(KedaScaler, spec, least, most, target),
            is_default=(least, target) == (0, 5),
        )
        for least, target in product((0, 1), (1, 2, 3, 5, 8))
    ]
    found += [
        _other(
            "Ray",
            f"idle_timeout {idle_s} s",
            partial(RayScaler, spec, 1, most, idle_s),
            is_default=idle_s == 300,
        )
        for idle_s in (30, 60, 120, 300, 600)
    ]
    for name, nodes in (("fixed, mean", mean), ("fixed, peak", peak)):
        found.append(
            _other(name, f"{nodes} nodes", partial(FixedScaler, spec, nodes), is_default=True)
        )
    return found


def _other(
    scaler: str, knobs: str, build: Callable[[], Scaler], *, is_default: bool = False
) -> Option:
    return Option(scaler=scaler, knobs=knobs, make=lambda _: build(), is_default=is_default)
