"""The simulator: what a node costs, what a bug waits, and what drains; on workloads worked out by
hand. How policies compare is bench/scaling.py."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from fixwurx_celery.cli import cli
from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.domain.scaling import ScalingPolicy
from fixwurx_celery.errors import FixwurxError, InputError
from fixwurx_celery.simulation import (
    TRACES,
    Arrival,
    Orders,
    Outcome,
    Setup,
    Trace,
    make_trace,
    read_trace,
    simulate,
)
from fixwurx_celery.simulation.bounds import no_wait_bound_s, peak_nodes, work_bound_s
from fixwurx_celery.simulation.fleet import Fleet
from fixwurx_celery.simulation.plot import draw
from fixwurx_celery.simulation.scalers import (
    FixedScaler,
    HpaScaler,
    KedaScaler,
    PolicyScaler,
    RayScaler,
)

NODE = NodeSpec(agents=9, capabilities=frozenset({"python"}))
GPU = NodeSpec(agents=4, capabilities=frozenset({"gpu"}))
SETUP = Setup(prices={NODE: 2.0}, boot_s=(60.0, 60.0))


class Scripted:
    """Does what the test says, at its time."""

    packs = False
    interval_s = 10.0

    def __init__(self, **orders: Orders) -> None:
        self.orders = {float(name.removeprefix("at_")): one for name, one in orders.items()}

    def act(self, fleet: Fleet, now_s: float) -> Orders:
        return self.orders.get(now_s, Orders())

    def ended(self, bug: int, ran_s: float) -> None:
        pass

    def booted(self, boot_s: float) -> None:
        pass


def trace_of(*bugs: tuple[float, float], length_s: float = 0.0, agents: int = 3) -> Trace:
    arrivals = [Arrival(at_s=at_s, duration_s=run_s, agents=agents) for at_s, run_s in bugs]
    return Trace(name="test", arrivals=arrivals, length_s=length_s)


def ours(trace: Trace, most: int = 60, interval_s: float = 30.0) -> PolicyScaler:
    policy = ScalingPolicy(specs=[NODE], min_workers=1, max_workers=most)
    return PolicyScaler(policy, trace.arrivals, interval_s)


def changes_between(outcome: Outcome, start_s: float, end_s: float) -> int:
    return sum(start_s <= change.at_s < end_s for change in outcome.changes)


def test_a_node_is_paid_for_from_its_launch_and_a_bug_waits_until_it_is_ready() -> None:
    outcome = simulate(trace_of((0, 100)), Scripted(at_0=Orders(launch=[NODE])), SETUP)

    assert outcome.waits == [60.0]
    assert outcome.node_s == 160.0
    assert outcome.cost == pytest.approx(2.0 * 160 / 3600)


def test_a_draining_node_takes_nothing_ends_what_it_has_and_goes() -> None:
    scaler = Scripted(at_0=Orders(launch=[NODE]), at_70=Orders(drain=["n1"]),
                      at_80=Orders(launch=[NODE]))  # fmt: skip

    outcome = simulate(trace_of((60, 100), (75, 10)), scaler, SETUP)

    assert outcome.waits == [0.0, 65.0]  # the second waits for the second node
    assert outcome.node_s == 160.0 + 80.0  # until 160, and from 80 to 160
    assert outcome.busy_stopped == 0


def test_a_draining_node_that_is_had_back_serves_at_once() -> None:
    scaler = Scripted(
        at_0=Orders(launch=[NODE]), at_70=Orders(drain=["n1"]), at_80=Orders(resume=["n1"])
    )

    assert simulate(trace_of((60, 100), (75, 10)), scaler, SETUP).waits == [0.0, 5.0]


def test_a_bug_goes_to_the_node_with_the_highest_free_share() -> None:
    started: list[tuple[int, str]] = []
    arrivals = [Arrival(at_s=0, duration_s=1) for _ in range(4)]
    fleet = Fleet(arrivals, lambda bug, node: started.append((bug, node.name)), lambda node: None)
    for _ in range(2):
        fleet.ready(fleet.launch(NODE, 0), 0)

    for bug in range(4):
        fleet.submit(bug)

    assert started == [(0, "n1"), (1, "n2"), (2, "n1"), (3, "n2")]


def test_a_bug_that_repeats_comes_again_when_it_has_ended() -> None:
    trace = Trace(name="t", arrivals=[Arrival(at_s=60, duration_s=10, repeats=2)], length_s=0)

    outcome = simulate(trace, FixedScaler(NODE, 1), SETUP)

    assert (outcome.waits, outcome.node_s) == ([0.0] * 3, 90.0)


def test_a_bug_that_no_node_can_run_is_refused() -> None:
    with pytest.raises(InputError, match="bug 1 needs 10 agents, which none of 9:python has"):
        simulate(trace_of((0, 1), agents=10), FixedScaler(NODE, 1), SETUP)


def test_bounds_are_those_of_a_trace_worked_out_by_hand() -> None:
    # Two nodes' worth for 100 s, then nothing for 30 s, less than a boot, then one for 100 s.
    trace = trace_of(*[(0, 100)] * 6, *[(130, 100)] * 3)

    assert work_bound_s(trace, NODE) == 9 * 300 / 9
    assert no_wait_bound_s(trace, NODE, 60) == 2 * (60 + 100) + 30 + 100
    assert peak_nodes(trace, NODE) == 2


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_is_the_same_for_the_same_seed_and_in_order(name: str) -> None:
    trace = make_trace(name, 3)

    assert trace == make_trace(name, 3)
    assert list(trace.arrivals) == sorted(trace.arrivals, key=lambda one: one.at_s)
    assert 300 < trace.work_s / 3 / trace.bugs < 420


@pytest.mark.parametrize("name", ["square", "flash"])
def test_no_run_goes_below_the_bound_and_none_stops_a_busy_node(name: str) -> None:
    trace = make_trace(name)
    for scaler in (ours(trace), HpaScaler(NODE, 1, 60, 3.0, counts_running=True),
                   KedaScaler(NODE, 0, 60), RayScaler(NODE, 1, 60)):  # fmt: skip
        outcome = simulate(trace, scaler, SETUP)

        assert outcome.node_s >= work_bound_s(trace, NODE)
        assert len(outcome.waits) == trace.bugs
        assert (outcome.busy_stopped, outcome.unserved) == (0, 0)


def test_the_same_seed_gives_the_same_outcome() -> None:
    trace = make_trace("bursts")
    setup = Setup(prices={NODE: 1.0}, boot_s=(20.0, 90.0))

    assert simulate(trace, ours(trace), setup, 7) == simulate(trace, ours(trace), setup, 7)


def test_constant_load_comes_to_rest() -> None:
    trace = make_trace("constant")

    assert changes_between(simulate(trace, ours(trace), SETUP), 1800, trace.length_s) <= 1


@pytest.mark.parametrize("target", [0.7, 0.8, 0.9])
def test_a_square_wave_is_at_most_two_changes_a_flank(target: float) -> None:
    trace = make_trace("square")
    policy = ScalingPolicy(specs=[NODE], min_workers=1, max_workers=60, target=target)

    outcome = simulate(trace, PolicyScaler(policy, trace.arrivals), SETUP)

    assert max(changes_between(outcome, h * 3600, (h + 1) * 3600) for h in range(1, 8)) <= 2


def test_a_long_bug_that_is_left_over_keeps_one_node() -> None:
    trace = trace_of(*[(0, 300)] * 29, (0, 3600))

    outcome = simulate(trace, ours(trace), SETUP)

    # All others end at 360 s or soon after, and are not needed for a window and a tick.
    assert max(sample.nodes for sample in outcome.samples if sample.at_s >= 600) == 1


def test_an_hpa_scales_down_by_the_highest_recommendation_of_five_minutes() -> None:
    hpa = HpaScaler(NODE, 1, 60, 3.0, counts_running=True)

    wanted = [hpa.recommend(30 if at_s < 60 else 6, at_s, 10) for at_s in range(0, 420, 15)]

    assert wanted[:24] == [10] * 24  # the last recommendation of ten is 315 s old after that
    assert wanted[24:] == [2] * 4


def test_an_hpa_adds_four_pods_or_doubles_in_fifteen_seconds() -> None:
    hpa = HpaScaler(NODE, 1, 60, 1.0, counts_running=True)

    assert [hpa.recommend(50, at_s, now) for at_s, now in ((0, 1), (15, 5), (30, 10))] == [
        5,
        10,
        20,
    ]


def test_an_hpa_leaves_a_deviation_of_a_tenth_alone() -> None:
    hpa = HpaScaler(NODE, 1, 60, 3.0, counts_running=True)

    assert hpa.recommend(32, 0, 10) == 10


def test_keda_goes_to_zero_after_its_cooldown_although_nodes_are_busy() -> None:
    outcome = simulate(trace_of((0, 2000), length_s=2000), KedaScaler(NODE, 0, 60), SETUP)

    drained = [change.at_s for change in outcome.changes if change.drained]
    assert len(drained) == 1
    assert 300 < drained[0] <= 420
    assert outcome.busy_stopped == 0


def test_ray_removes_a_node_that_was_idle_for_the_timeout() -> None:
    outcome = simulate(trace_of(*[(0, 30)] * 6, length_s=1000), RayScaler(NODE, 1, 60), SETUP)

    drained = [change.at_s for change in outcome.changes if change.drained]
    assert drained == [390]  # ready at 60, idle from 90


# -- files and the command ---------------------------------------------------------------------


def test_a_trace_is_read_from_a_file_and_sorted(tmp_path: Path) -> None:
    file = tmp_path / "bugs.csv"
    file.write_text('arrival_s,duration_s,agents,requires\n\n9,60,4,"gpu,python"\n5,30\n', "utf-8")

    assert read_trace(file).arrivals == [
        Arrival(at_s=5, duration_s=30),
        Arrival(at_s=9, duration_s=60, agents=4, requires=frozenset({"gpu", "python"})),
    ]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("5", "1 columns in place of 2 to 4"),
        ("-5,3", "arrival_s '-5' must be seconds, 0 or more"),
        ("5,nan", "duration_s 'nan' must be seconds, 0.001 or more"),
        ("5,3,0", "agents '0' must be a whole number, 1 to 1024"),
        ("5,3,1,a b/c", "requires 'b/c' must be letters"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(tmp_path: Path, line: str, what: str) -> None:
    file = tmp_path / "bugs.csv"
    file.write_text(f"0,60\n{line}\n", "utf-8")

    with pytest.raises(InputError) as refused:
        read_trace(file)

    assert refused.value.problems[0].startswith(f"{file}, line 2: {what}")


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["scale", "simulate", *arguments])
    return result.exit_code, result.stdout


def test_the_command_tells_the_figures_with_keys_that_stay() -> None:
    status, text = run("--trace", "constant", "--json")

    told = json.loads(text)
    assert status == 0
    assert told["bugs"] == 1440
    assert told["busy_nodes_stopped"] == 0
    assert set(told["wait_s"]) == {"p50", "p95", "p99", "max"}
    assert told["node_hours"] > told["no_wait_bound_node_hours"] > told["work_bound_node_hours"]


def test_the_command_takes_several_kinds_of_nodes_with_prices(tmp_path: Path) -> None:
    file = tmp_path / "bugs.csv"
    file.write_text("0,3600,4,gpu\n", "utf-8")

    _, text = run("--trace", str(file), "--node", "9", "--node", "4:gpu", "--price", "1",
                  "--price", "10", "--nodes", "0..5", "--boot", "0", "--target", "1",
                  "--json")  # fmt: skip

    assert json.loads(text)["cost"] == pytest.approx(10.0, abs=0.2)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--node", "9", "--node", "4:gpu", "--compare"),
        ("--price", "1", "--price", "2"),
        ("--nodes", "5..2"),
        ("--boot", "soon"),
        ("--node", "none"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(arguments: Sequence[str]) -> None:
    assert run(*arguments)[0] == 2


def test_a_plot_without_matplotlib_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(FixwurxError, match=r"pip install 'fixwurx-celery\[plot\]'"):
        draw(simulate(trace_of((0, 9)), FixedScaler(NODE, 1), SETUP), "t", tmp_path / "a.svg")


def test_a_plot_is_svg_or_png(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.pdf must end in \.svg or \.png"):
        draw(simulate(trace_of((0, 9)), FixedScaler(NODE, 1), SETUP), "t", tmp_path / "a.pdf")


def test_the_same_run_is_the_same_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    outcome = simulate(trace_of((0, 9)), FixedScaler(NODE, 1), SETUP)

    for name in ("a.svg", "b.svg"):
        draw(outcome, "t", tmp_path / name)

    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
