"""`node list|show|drain|resume`: the nodes, those gone included."""

from typing import Final

import click

from fixwurx_celery.cli.connection import cluster
from fixwurx_celery.cli.names import known_node
from fixwurx_celery.cli.options import examples, json_option, option
from fixwurx_celery.cli.table import Column, age, print_fields, print_json, print_table
from fixwurx_celery.domain.nodes import WorkerNode, WorkerState
from fixwurx_celery.store import Snapshot

__all__ = ["node"]

NODE_COLUMNS: Final = [
    Column(title="node", is_flexible=True),
    Column(title="state"),
    Column(title="stage", is_optional=True),
    Column(title="free", is_right=True),
    Column(title="agents", is_right=True),
    Column(title="bugs", is_right=True, is_optional=True),
    Column(title="health", is_right=True),
    Column(title="response", is_right=True, is_optional=True),
    Column(title="seen", is_right=True, is_optional=True),
    Column(title="capabilities", is_flexible=True, is_optional=True),
]


@click.group()
def node() -> None:
    """Nodes: list, show, drain, resume."""


@node.command("list", epilog=examples("node list", "node list --json | jq -r '.[].worker_id'"))
@json_option
def list_(as_json: bool) -> None:
    """Lists the nodes; one that has gone is shown as OFFLINE for an hour.

    STAGE is that of a node which a controller launched: starting, ready, draining (it is being
    scaled in, and can still be had back) or stopping.

    HEALTH is 0 to 1: at 0.5 or below a node is only probed with single bugs. RESPONSE is the time
    from assignment to start. SEEN is the time since the last heartbeat.
    """
    with cluster() as connection:
        snapshot = connection.store.snapshot()
    nodes = snapshot.with_starting
    if as_json:
        print_json([{**one.as_dict(), "stage": snapshot.stage_of(one.worker_id)} for one in nodes])
        return
    print_table(NODE_COLUMNS, [node_row(one, snapshot) for one in nodes])
    if not snapshot.live:
        how = "start one with `celery -A fixwurx_celery worker -n node1@%h`"
        if connection.settings.launchable:
            how = "a controller starts them when bugs wait"
        click.echo(f"no node is in service; {how}", err=True)


@node.command(epilog=examples("node show node1@host", "node show node1"))
@click.argument("worker_id", metavar="ID")
@json_option
def show(worker_id: str, as_json: bool) -> None:
    """Shows all that is known of a node. ID may leave out what follows the `@`."""
    with cluster() as connection:
        snapshot = connection.store.snapshot()
        found = known_node(snapshot, worker_id)
    if as_json:
        print_json(found.as_dict())
        return
    print_fields(
        [
            ("node", found.worker_id),
            ("state", found.state),
            ("agents", f"{found.free_agents} free of {found.total_agents}"),
            ("capabilities", ", ".join(sorted(found.capabilities)) or "none"),
            ("health", f"{found.health:.2f}"),
            ("response", f"{found.response_time_ms:.0f} ms from assignment to start"),
            ("seen", f"{age(snapshot.now_ms - found.last_heartbeat * 1000)} ago"),
            ("host", f"{found.hostname}: {found.cpu_cores} cores, {found.memory_mb} MB"),
            ("incarnation", found.incarnation),
            *[
                (name.replace("_", " "), f"{value:.4g}" if isinstance(value, float) else value)
                for name, value in found.metrics.items()
                if name != "clock_ms"  # says something only beside the store's
            ],
            *[("bug", f"{bug}: {agents} agents") for bug, agents in found.bugs.items()],
        ]
    )


@node.command(epilog=examples("node drain node1@host", "node drain node1@host --grace 600"))
@click.argument("worker_id", metavar="ID")
@option(
    "--grace", env="DRAIN_GRACE", type=click.FloatRange(min=0), metavar="SECONDS",
    help="Time for the bugs that it runs; what still runs then goes elsewhere, uncharged. "
    "[default: FIXWURX_DRAIN_TIMEOUT_SEC]",
)  # fmt: skip
@json_option
def drain(worker_id: str, grace: float | None, as_json: bool) -> None:
    """Gives a node no more bugs; those it runs go on for a while, those not started go elsewhere.

    It stays in service until it is stopped. `node resume` undoes this; a second `node drain` can
    only shorten the grace time.
    """
    with cluster() as connection:
        name = known_node(connection.store.snapshot(), worker_id).worker_id
        grace_s = connection.settings.drain_timeout_sec if grace is None else grace
        running, assignments = connection.store.drain(name, grace_s)
        connection.ring(assignments)
    if as_json:
        print_json({"worker_id": name, "state": str(WorkerState.STOPPING), "running": running})
    else:
        click.echo(
            f"{name} takes no more bugs; "
            + (
                f"it still runs {running}, for at most {grace_s:g} s"
                if running
                else "it runs none, and may be stopped"
            )
        )


@node.command(epilog=examples("node resume node1@host"))
@click.argument("worker_id", metavar="ID")
@json_option
def resume(worker_id: str, as_json: bool) -> None:
    """Lets a drained node take bugs again."""
    with cluster() as connection:
        name = known_node(connection.store.snapshot(), worker_id).worker_id
        connection.ring(connection.store.resume(name))
        state = known_node(connection.store.snapshot(), name).state
    if as_json:
        print_json({"worker_id": name, "state": str(state)})
    else:
        click.echo(f"{name} takes bugs again")


def node_row(node: WorkerNode, snapshot: Snapshot) -> tuple[object, ...]:
    """A node as a row of NODE_COLUMNS."""
    return (
        node.worker_id,
        node.state,
        snapshot.stage_of(node.worker_id),
        node.free_agents,
        node.total_agents,
        len(node.bugs),
        f"{node.health:.2f}",
        f"{node.response_time_ms:.0f} ms",
        age(snapshot.now_ms - node.last_heartbeat * 1000),
        ",".join(sorted(node.capabilities)),
    )
