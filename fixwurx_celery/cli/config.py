"""`config show|check`: what this process is told, and whether it makes sense."""

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from fixwurx_celery.cli.connection import (
    cluster,
    reach_broker,
    settings_here,
    variables_of_up,
)
from fixwurx_celery.cli.names import did_you_mean
from fixwurx_celery.cli.options import examples, json_option, option
from fixwurx_celery.cli.table import lines_of, print_json
from fixwurx_celery.cli.terminal import STRONG, styled, styled_word
from fixwurx_celery.errors import ConfigurationError, FixwurxError
from fixwurx_celery.settings import Settings

__all__ = ["config", "warnings"]


@click.group()
def config() -> None:
    """Settings: show, check."""


@config.command(epilog=examples("config show", "config show --json"))
@json_option
def show(as_json: bool) -> None:
    """Shows every setting: its value (passwords hidden), where it is from, what it means."""
    settings = settings_here()
    of_up = variables_of_up()
    rows: list[dict[str, Any]] = [
        {
            **entry,
            "from": "environment"
            if os.environ.get(entry["variable"])
            else "running `up`"
            if entry["variable"] in of_up
            else "default",
        }
        for entry in settings.describe()
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        origin = row["from"]
        if row["value"] != row["default"]:
            origin += f"; default: {row['default'] or 'empty'}"
        click.echo(f"{styled(row['variable'], STRONG)} = {row['value']}  ({origin})")
        for line in lines_of(row["meaning"], 4):
            click.echo(f"    {line}")


@config.command(epilog=examples("config check", "config check --connect"))
@option(
    "--connect", env="CONFIG_CONNECT", is_flag=True,
    help="Also try to reach the store and the broker.",
)  # fmt: skip
@json_option
def check(connect: bool, as_json: bool) -> int:
    """Checks the settings: tells all problems at once, and starts nothing.

    Exit status 2 when a setting is wrong, 3 when --connect could not reach the store or the broker.
    """
    problems: list[str] = []
    status = 0
    warned = warnings(os.environ)
    try:
        settings = settings_here()
    except ConfigurationError as error:
        problems, status = list(error.problems), error.exit_status
    else:
        warned += doubts(settings)
        if connect:
            problems = unreachable(settings)
            status = 3 if problems else 0
    if as_json:
        print_json({"ok": not problems, "problems": problems, "warnings": warned})
        return status
    for line in problems:
        click.echo(f"{styled_word('FAIL')}  {line}")
    for line in warned:
        click.echo(f"{styled_word('WARN')}  {line}")
    if not problems:
        click.echo(f"{styled_word('OK')}    {len(fields(Settings))} settings")
    return status


def warnings(environment: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none, with the one that was perhaps meant."""
    known = {f.metadata["env"] for f in fields(Settings)}
    odd = sorted(name for name in environment if name.startswith("FIXWURX_") and name not in known)
    if odd:
        known |= variables_of_commands()
    return [
        f"{name} is no setting of ours{did_you_mean(name, known)}"
        for name in odd
        if name not in known
    ]


def variables_of_commands() -> set[str]:
    """The variables that stand for options of the command line."""
    root = click.get_current_context().find_root().command
    found, groups = {"FIXWURX_DEBUG"}, [root]
    while groups:
        command = groups.pop()
        for parameter in command.params:
            variable = parameter.envvar
            found.update([variable] if isinstance(variable, str) else variable or [])
        if isinstance(command, click.Group):
            context = click.Context(command)
            names = command.list_commands(context)
            groups += [sub for name in names if (sub := command.get_command(context, name))]
    return found


def doubts(settings: Settings) -> list[str]:
    """What is allowed and yet probably not meant."""
    found = []
    if not settings.redis_url:
        found.append(
            "FIXWURX_REDIS_URL is empty: only `run` and `up` work, on a store of their own"
        )
    module = settings.engine.partition(":")[0]
    try:
        is_there = importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        is_there = False
    if not is_there:
        found.append(
            f"FIXWURX_ENGINE={settings.engine}: no module {module} here; every node must have it"
        )
    if settings.state_path and not Path(settings.state_path).expanduser().parent.is_dir():
        found.append(
            f"FIXWURX_STATE_PATH={settings.state_path}: its folder does not exist on this host"
        )
    if settings.lease_sec > settings.heartbeat_timeout_sec * 6:
        found.append(
            f"FIXWURX_LEASE_SEC={settings.lease_sec:g} is long: a bug whose runner hangs is only "
            "taken from it after that time"
        )
    if settings.drain_timeout_sec == 0:
        found.append("FIXWURX_DRAIN_TIMEOUT_SEC=0: a stopping node moves what it runs at once")
    return found


def unreachable(settings: Settings) -> list[str]:
    """What cannot be reached of the store and the broker."""
    found = []
    if settings.redis_url:
        try:
            with cluster(settings):
                pass
        except FixwurxError as error:
            found.append(str(error))
    if settings.broker_url:
        try:
            reach_broker(settings)
        except FixwurxError as error:
            found.append(str(error))
    return found
