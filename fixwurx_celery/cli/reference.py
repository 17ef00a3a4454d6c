"""Writes two pages of docs/ from the code itself.

`python -m fixwurx_celery.cli.reference` is docs/cli.md, and with `settings` docs/configuration.md.
"""

import sys
from collections.abc import Iterator
from dataclasses import fields

import click

from fixwurx_celery.cli import cli
from fixwurx_celery.settings import Settings

__all__ = ["commands", "reference", "settings_page"]

HEAD = """\
# Command line

<!-- Written by `make docs` from the commands; do not edit. -->

Data goes to stdout, words go to stderr. Tables fit the terminal; elsewhere nothing is shortened.
`--json` answers the same with keys that stay. Every option can be given as an environment variable,
which its help names; `FIXWURX_REDIS_URL` and the other settings are in
[configuration.md](configuration.md).

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | refused: the error says what, why and the way out |
| 2 | wrong usage, input or configuration; nothing was started |
| 3 | the store (or broker) cannot be reached |
| 4 | done in part: some bugs were refused or not fixed, or `doctor` found a failure |
| 130 | ended by Ctrl-C |
"""


def commands(context: click.Context | None = None) -> Iterator[click.Context]:
    """Every command that does something, in a context from which to ask for its help."""
    context = context or cli.make_context("fixwurx-celery", [], resilient_parsing=True)
    command = context.command
    if not isinstance(command, click.Group):
        yield context
        return
    for name in command.list_commands(context):
        if found := command.get_command(context, name):
            yield from commands(
                click.Context(
                    found, info_name=name, parent=context, max_content_width=100, terminal_width=100
                )
            )


def reference() -> str:
    """The page."""
    parts = [HEAD]
    for context in commands():
        lines = context.get_help().splitlines()
        help_text = "\n".join(line.rstrip() for line in lines)
        title = context.command_path.removeprefix("fixwurx-celery ")
        parts.append(f"## {title}\n\n```\n{help_text}\n```\n")
    return "\n".join(parts)


SETTINGS_HEAD = """\
# Settings

<!-- Written by `make docs` from the code; do not edit. -->

Every process of a cluster reads the same environment variables; there is no file. `fixwurx-celery
config show` says what this shell would give them, `config check` whether that is right: every
problem at once. Durations are in seconds.

| variable | default | bounds | meaning |
|---|---|---|---|
"""


def settings_page() -> str:
    """Every setting with its variable, default, bounds and meaning."""
    bounds = {field.metadata["env"]: field.metadata for field in fields(Settings)}
    rows = []
    for entry in Settings().describe():
        low, high = bounds[entry["variable"]]["low"], bounds[entry["variable"]]["high"]
        between = "" if low is None else f"{low:g} – {high:g}"
        default = f"`{entry['default']}`" if entry["default"] else "(empty)"
        rows.append(f"| `{entry['variable']}` | {default} | {between} | {entry['meaning']} |\n")
    return SETTINGS_HEAD + "".join(rows)


if __name__ == "__main__":
    click.echo(settings_page() if sys.argv[1:] == ["settings"] else reference(), nl=False)
