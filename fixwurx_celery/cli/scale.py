"""`scale plan|history|explain|simulate`: how many nodes there should be, and why."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

from fixwurx_celery.cli.connection import cluster
from fixwurx_celery.cli.options import examples, json_option, option
from fixwurx_celery.cli.simulate import simulate_command
from fixwurx_celery.cli.table import Column, age, print_fields, print_json, print_table
from fixwurx_celery.cluster import Connection
from fixwurx_celery.cluster.scaler import pause_of, policy_of
from fixwurx_celery.cluster.scaling_view import view_of
from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.domain.scaling import ClusterView, ScalingDecision, ScalingPolicy, decide
from fixwurx_celery.errors import FixwurxError
from fixwurx_celery.store.scaling_state import Decision, ScalingState

__all__ = ["scale"]

COLUMNS: Final = [
    Column(title="id", is_optional=True),
    Column(title="ago", is_right=True),
    Column(title="action"),
    Column(title="nodes", is_right=True),
    Column(title="wanted", is_right=True),
    Column(title="reason", is_flexible=True),
]


@click.group()
def scale() -> None:
    """How many nodes there should be: plan, history, explain, simulate."""


scale.add_command(simulate_command)


@scale.command(epilog=examples("scale plan", "scale plan --max 20"))
@option("--min", "min_workers", env="MIN_WORKERS", type=click.IntRange(min=0), metavar="N",
        help="Nodes at least. [default: as the controller has it]")  # fmt: skip
@option("--max", "max_workers", env="MAX_WORKERS", type=click.IntRange(min=1), metavar="N",
        help="Nodes at most. [default: as the controller has it]")  # fmt: skip
@json_option
def plan(min_workers: int | None, max_workers: int | None, as_json: bool) -> None:
    """Shows what a controller would do now. Does nothing, and asks no provider.

    It decides with the settings of the controller that decided last; where none has, with those of
    this environment.
    """
    with cluster() as connection:
        last = ScalingState(connection.store).decisions(1)
        policy = _policy(connection, last, min_workers, max_workers)
        seen = ScalingState(connection.store).observe(policy.window_s, "")
        provider = last[0].told["provider"] if last else connection.settings.provider
    scopes = {launch.scope for launch in seen.launches.values()}
    trouble = pause_of(seen, provider)
    view = view_of(
        seen, scope=next(iter(scopes), None), may_launch=provider != "none" and not trouble
    )
    decision = decide(view, policy)
    told = {**decision.as_dict(), "view": view.as_dict(), "policy": policy.as_dict()}
    if as_json:
        print_json({**told, "provider": provider, "trouble": trouble})
        return
    print_fields(_fields(told))
    if provider == "none":
        click.echo("no provider is set (FIXWURX_PROVIDER), so nobody will do it", err=True)
    elif not last:
        click.echo(
            "no controller has decided anything yet; is one running? "
            "`celery -A fixwurx_celery.controller worker -B`",
            err=True,
        )


@scale.command(epilog=examples("scale history", "scale history --changes --limit 100"))
@option("--limit", env="HISTORY_LIMIT", type=click.IntRange(1, 3000), default=20, metavar="N",
        show_default=True, help="Decisions at most, the newest first.")  # fmt: skip
@option("--changes", env="HISTORY_CHANGES", is_flag=True,
        help="Only those that started or stopped nodes.")  # fmt: skip
@json_option
def history(limit: int, changes: bool, as_json: bool) -> None:
    """Shows the last decisions with their reasons, one for each tick."""
    with cluster() as connection:
        found = ScalingState(connection.store).decisions(limit, changes_only=changes)
        now_ms = connection.store.snapshot(most_nodes=0).now_ms
    if as_json:
        print_json([_told(one) for one in found])
        return
    print_table(
        COLUMNS,
        [
            (
                one.id,
                age(now_ms - one.at_ms),
                one.action,
                one.told["nodes"],
                one.told["wanted"],
                one.reason,
            )
            for one in found
        ],
    )
    if not found:
        click.echo("no controller has decided anything yet", err=True)
    elif found[0].told["trouble"] and found[0].told["provider"] != "none":
        click.echo(f"the provider is in trouble: {found[0].told['trouble']}", err=True)


@scale.command(epilog=examples("scale explain", "scale explain 1769250000000-0"))
@click.argument("decision_id", metavar="[ID]", required=False)
@json_option
def explain(decision_id: str | None, as_json: bool) -> None:
    """Shows one decision with all that it rested on; without ID the last that changed something.

    The decision is taken again from its recorded inputs, and it is said should it come out
    otherwise.
    """
    with cluster() as connection:
        state = ScalingState(connection.store)
        if decision_id:
            found = [one for one in state.decisions(5000) if one.id == decision_id]
        else:
            found = state.decisions(1, changes_only=True) or state.decisions(1)
    if not found:
        raise FixwurxError(
            f"no decision {decision_id} is kept; `scale history` lists those that are"
            if decision_id
            else "no controller has decided anything yet"
        )
    one = found[0]
    again = decide(
        ClusterView.from_dict(one.told["view"]), ScalingPolicy.from_dict(one.told["policy"])
    )
    if as_json:
        print_json({**_told(one), "again": again.as_dict()})
        return
    at = datetime.fromtimestamp(one.at_ms / 1000, UTC)
    print_fields(
        [
            ("decision", one.id),
            ("at", f"{at:%Y-%m-%d %H:%M:%S} UTC"),
            *_fields(one.told),
            *_view_fields(one.told["view"]),
            *[
                ("put right", f"{step['node']}: {step['kind'].lower()}, for {step['reason']}")
                for step in one.told["steps"]
            ],
            ("taken again", _compared(one, again)),
        ]
    )


def _policy(
    connection: Connection, last: Sequence[Decision], least: int | None, most: int | None
) -> ScalingPolicy:
    """The last controller's, unless told otherwise here."""
    policy = (
        ScalingPolicy.from_dict(last[0].told["policy"]) if last else policy_of(connection.settings)
    )
    given = policy.as_dict()
    given |= {} if least is None else {"min_workers": least}
    given |= {} if most is None else {"max_workers": most}
    try:
        return ScalingPolicy.from_dict(given)
    except ValueError as error:
        raise FixwurxError(str(error)) from error


def _told(one: Decision) -> Mapping[str, Any]:
    return {"id": one.id, "at_ms": one.at_ms, "term": one.term, **one.told}


def _fields(told: Mapping[str, Any]) -> list[tuple[str, object]]:
    launch = [str(NodeSpec.of_profile(profile)) for profile in told["launch"]]
    return [
        ("action", told["action"]),
        ("reason", told["reason"]),
        *[("start", f"{launch.count(spec)} × {spec}") for spec in dict.fromkeys(launch)],
        *[("serve again", node) for node in told["resume"]],
        *[("drain", node) for node in told["drain"]],
        ("nodes", f"{told['nodes']} now, {told['wanted']} wanted"),
        *[("limit", limit) for limit in told["limits"]],
        *([("trouble", told["trouble"])] if told.get("trouble") else []),
        ("bounds", f"{told['policy']['min_workers']} to {told['policy']['max_workers']} nodes"),
        (
            "aims at",
            f"{told['policy']['target']:.0%} of the agents at work; fewer nodes once "
            f"{told['policy']['window_s']:g} s did with fewer",
        ),
    ]


def _view_fields(view: Mapping[str, Any]) -> list[tuple[str, object]]:
    return [
        *[
            (
                "saw",
                f"{one['count']} × {NodeSpec.of_profile(one['profile'])} with {one['free']} free",
            )
            for one in view["supply"]
        ],
        *[
            ("saw", f"{count} × {NodeSpec.of_profile(profile)} starting")
            for profile, count in view["starting"].items()
        ],
        *[("saw", f"{one['worker_id']} draining") for one in view["draining"]],
        *([("saw", f"{view['others']} that take no bugs")] if view["others"] else []),
        *[
            (
                "waiting",
                f"{one['waiting']} bugs of {one['agents']} agents"
                + (f" that require {','.join(one['requires'])}" if one["requires"] else "")
                + (f", which run {one['run_s']:g} s" if one["run_s"] is not None else ""),
            )
            for one in view["demand"]
        ],
        ("boot", f"{view['boot_s']:g} s" if view["boot_s"] is not None else "not measured yet"),
    ]


def _compared(one: Decision, again: ScalingDecision) -> str:
    if (again.action, again.reason) == (one.action, one.reason):
        return "comes out the same"
    return f"comes out otherwise, by this version's rules: {again.action}: {again.reason}"
