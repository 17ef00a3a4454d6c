"""`scale simulate`: what the policy would do to a workload, without a cluster."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from fixwurx_celery.cli.names import did_you_mean
from fixwurx_celery.cli.options import examples, json_option, option
from fixwurx_celery.cli.table import Column, print_fields, print_json, print_table
from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.domain.scaling import ScalingPolicy
from fixwurx_celery.errors import InputError
from fixwurx_celery.settings import Settings
from fixwurx_celery.simulation import (
    TRACES,
    Outcome,
    Setup,
    Trace,
    make_trace,
    read_trace,
    simulate,
)
from fixwurx_celery.simulation.bounds import no_wait_bound_s, work_bound_s
from fixwurx_celery.simulation.comparison import Match, Run, matches, point_of
from fixwurx_celery.simulation.options import options
from fixwurx_celery.simulation.plot import draw
from fixwurx_celery.simulation.scalers import PolicyScaler

__all__ = ["simulate_command"]

DEFAULTS: Final = Settings()
COLUMNS: Final = [
    Column(title="scaler"),
    Column(title="setting", is_flexible=True),
    Column(title="p95 wait", is_right=True),
    Column(title="node-hours", is_right=True),
    Column(title="ours", is_right=True),
    Column(title="ratio", is_right=True),
    Column(title="our setting", is_flexible=True, is_optional=True),
]


class Span(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """`LOW..HIGH`, or one number for both."""

    def __init__(self, name: str, *, is_whole: bool) -> None:
        self.name, self.is_whole = name, is_whole

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        """The two numbers, or a usage error that says how they are written."""
        if isinstance(value, tuple):
            return value
        low, dots, high = str(value).partition("..")
        try:
            kind = int if self.is_whole else float
            span = kind(low), kind(high if dots else low)
        except ValueError:
            span = -1, -1
        if not 0 <= span[0] <= span[1] < 1e9:
            self.fail(f"{value!r} must be {self.name}, from 0 up", param, ctx)
        return span


@click.command("simulate", epilog=examples(
    "scale simulate --trace diurnal",
    "scale simulate --trace bugs.csv --boot 20..90 --node 9 --node 4:gpu,python",
    "scale simulate --trace bursts --target 0.9 --plot bursts.svg",
    "scale simulate --trace flash --compare",
))  # fmt: skip
@option("--trace", "trace_name", env="TRACE", default="diurnal", show_default=True,
        metavar="NAME|FILE.csv",
        help=f"The workload: {', '.join(TRACES)}; or a file with a bug a line, "
        "arrival_s,duration_s[,agents[,requires]].")  # fmt: skip
@option("--boot", env="SIMULATE_BOOT", default="60", show_default=True,
        type=Span("S|LOW..HIGH", is_whole=False),
        help="Seconds that a node takes to start.")  # fmt: skip
@option("--nodes", "bounds", env="SIMULATE_NODES", default="1..60", show_default=True,
        type=Span("MIN..MAX", is_whole=True), help="Nodes at least and at most.")  # fmt: skip
@option("--node", "node_specs", env="SIMULATE_NODE", multiple=True, metavar="AGENTS[:LABELS]",
        help="A kind of node that may be started, the usual one first. [default: 9]")  # fmt: skip
@option("--price", "prices", env="SIMULATE_PRICE", multiple=True, type=click.FloatRange(min=0),
        metavar="N",
        help="What an hour of a node costs, in the order of --node. [default: 1]")  # fmt: skip
@option("--target", env="SCALE_UP_THRESHOLD", type=click.FloatRange(0, 1, min_open=True),
        default=DEFAULTS.scale_up_threshold, show_default=True,
        help="The utilisation aimed at.")  # fmt: skip
@option("--low", env="SCALE_DOWN_THRESHOLD", type=click.FloatRange(0, 1, max_open=True),
        default=DEFAULTS.scale_down_threshold, show_default=True,
        help="Utilisation below which nodes go while demand still falls.")  # fmt: skip
@option("--window", env="SCALE_DOWN_WINDOW_SEC", type=click.FloatRange(min=0),
        default=DEFAULTS.scale_down_window_sec, show_default=True,
        help="Seconds for which fewer nodes must have sufficed.")  # fmt: skip
@option("--wait", env="ACCEPTABLE_WAIT_SEC", type=click.FloatRange(min=0),
        default=DEFAULTS.acceptable_wait_sec, show_default=True,
        help="Seconds that bugs may wait for nodes that are there.")  # fmt: skip
@option("--interval", env="SCALING_INTERVAL_SEC", type=click.FloatRange(min=1),
        default=DEFAULTS.scaling_interval_sec, show_default=True,
        help="Seconds between decisions.")  # fmt: skip
@option("--compare", env="SIMULATE_COMPARE", is_flag=True,
        help="Other scalers as well, at the same waiting; takes a minute or two.")  # fmt: skip
@option("--plot", env="SIMULATE_PLOT", type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="A picture of the run, .svg or .png. Needs the extra `plot`.")  # fmt: skip
@option("--seed", env="SIMULATE_SEED", type=int, default=1, show_default=True,
        help="What random workloads and boot times are drawn from.")  # fmt: skip
@json_option
def simulate_command(
    trace_name: str,
    boot: tuple[float, float],
    bounds: tuple[int, int],
    node_specs: Sequence[str],
    prices: Sequence[float],
    target: float,
    low: float,
    window: float,
    wait: float,
    interval: float,
    compare: bool,
    plot: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Simulates a workload under the scaling policy: what it costs, and how long bugs wait.

    The policy is the one that decides for a real cluster, with this environment's settings unless
    told otherwise. Needs no store. The same command gives the same figures.
    """
    setup = Setup(prices=_prices(node_specs, prices), boot_s=boot)
    if compare and len(setup.specs) > 1:
        raise click.UsageError("--compare knows one kind of node; name one --node")
    policy = ScalingPolicy(
        specs=setup.specs,
        min_workers=bounds[0],
        max_workers=bounds[1],
        target=target,
        scale_down_threshold=low,
        window_s=window,
        acceptable_wait_s=wait,
    )
    trace = _trace(trace_name, seed)
    outcome = simulate(trace, PolicyScaler(policy, trace.arrivals, interval), setup, seed)
    told = _told(outcome, trace, setup)
    if plot is not None:
        draw(outcome, f"{trace.name}: {told['node_hours']:.1f} node-hours, p95 waiting "
             f"{told['wait_s'].get('p95', 0):.0f} s", plot)  # fmt: skip
    found = _compared(trace, setup, bounds[1], seed) if compare else []
    if as_json:
        print_json(told | ({"comparison": [_match(one) for one in found]} if compare else {}))
        return
    print_fields(_fields(told))
    if compare:
        click.echo()
        print_table(COLUMNS, [_row(one) for one in found])


def _prices(node_specs: Sequence[str], prices: Sequence[float]) -> dict[NodeSpec, float]:
    try:
        specs = [NodeSpec.parse(text, frozenset({"python"})) for text in node_specs or ("9",)]
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if prices and len(prices) != len(specs):
        raise click.UsageError(f"{len(prices)} --price for {len(specs)} --node; give one for each")
    return dict(zip(specs, prices or [1.0] * len(specs), strict=True))


def _trace(name: str, seed: int) -> Trace:
    if name in TRACES:
        return make_trace(name, seed)
    if not name.endswith(".csv"):
        raise InputError(
            [f"no trace {name}: there are {', '.join(TRACES)}, or name a file that ends in .csv"
             + did_you_mean(name, TRACES)]
        )  # fmt: skip
    return read_trace(Path(name))


def _told(outcome: Outcome, trace: Trace, setup: Setup) -> dict[str, Any]:
    told = {"trace": trace.name, **outcome.as_dict()}
    if len(setup.specs) == 1:  # the bounds know one kind of node
        spec = setup.specs[0]
        told["work_bound_node_hours"] = round(work_bound_s(trace, spec) / 3600, 3)
        told["no_wait_bound_node_hours"] = round(
            no_wait_bound_s(trace, spec, setup.boot_s[0]) / 3600, 3
        )
    return told


def _compared(trace: Trace, setup: Setup, most: int, seed: int) -> list[Match]:
    settings = options([trace], setup.specs[0], most)
    click.echo(f"{len(settings)} settings are simulated", err=True)
    return matches(
        point_of(one, [Run.of(simulate(trace, one.make(trace), setup, seed))]) for one in settings
    )


def _match(one: Match) -> dict[str, Any]:
    return {
        "theirs": one.theirs.as_dict(),
        "ours": one.ours.as_dict() if one.ours else None,
        "ratio": round(one.ratio, 4) if one.ours else None,
    }


def _row(one: Match) -> tuple[object, ...]:
    theirs, ours = one.theirs, one.ours
    return (
        theirs.scaler,
        theirs.knobs,
        f"{theirs.wait_p95_s:.0f} s",
        f"{theirs.node_hours:.1f}",
        f"{ours.node_hours:.1f}" if ours else "-",
        f"{one.ratio:.2f}" if ours else "-",
        ours.knobs if ours else "we wait longer at every setting",
    )


def _fields(told: dict[str, Any]) -> list[tuple[str, object]]:
    waits = told["wait_s"]
    served = f"{told['bugs']}"
    if told["unserved"]:
        served += f", and {told['unserved']} that never started"
    fields: list[tuple[str, object]] = [
        ("trace", told["trace"]),
        ("bugs", served),
        ("waiting", ", ".join(f"{name} {value:.0f} s" for name, value in waits.items())),
        ("node-hours", f"{told['node_hours']:.1f}, cost {told['cost']:.2f}"),
        ("at work", f"{told['utilisation']:.0%} of the agents paid for"),
        ("most nodes", told["most_nodes"]),
        (
            "changes",
            f"{told['changes']}: {told['launched']} nodes started, {told['drained']} drained, "
            f"{told['resumed']} of them had back, {told['busy_nodes_stopped']} stopped busy",
        ),
    ]
    if bound := told.get("no_wait_bound_node_hours"):
        fields.append(
            (
                "at best",
                f"{bound:.1f} node-hours without waiting (ours {told['node_hours'] / bound:.2f} ×),"
                f" {told['work_bound_node_hours']:.1f} with any",
            )
        )
    return fields
