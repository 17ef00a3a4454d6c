"""`strategy show|set`: how the node for a bug is chosen."""

import click

from fixwurx_celery.cli.connection import cluster
from fixwurx_celery.cli.options import NameOf, examples, json_option
from fixwurx_celery.cli.table import Column, print_json, print_table
from fixwurx_celery.domain.nodes import BalancingStrategy

__all__ = ["strategy"]


@click.group()
def strategy() -> None:
    """How nodes are chosen: show, set."""


@strategy.command(epilog=examples("strategy show"))
@json_option
def show(as_json: bool) -> None:
    """Shows how nodes are chosen now, and how they could be."""
    with cluster() as connection:
        now = connection.store.strategy()
    if as_json:
        print_json({"strategy": str(now), "choices": [str(name) for name in BalancingStrategy]})
        return
    columns = [
        Column(title=""),
        Column(title="strategy"),
        Column(title="takes", is_flexible=True),
    ]
    print_table(
        columns,
        [("*" if name is now else "", name, name.takes) for name in BalancingStrategy],
    )


@strategy.command("set", epilog=examples("strategy set LEAST_CONNECTIONS"))
@click.argument("name", type=NameOf(BalancingStrategy, "strategy"))
@json_option
def set_(name: BalancingStrategy, as_json: bool) -> None:
    """Changes how nodes are chosen, for the whole cluster, from the next bug on."""
    with cluster() as connection:
        before = connection.store.set_strategy(name)
    if as_json:
        print_json({"strategy": str(name), "before": str(before)})
    else:
        click.echo(f"{name} (before: {before})")
