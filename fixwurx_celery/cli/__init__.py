"""The command line: `fixwurx-celery <noun> <verb>`. Data goes to stdout, words to stderr."""

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Mapping
from typing import Final

import click

from fixwurx_celery import __version__
from fixwurx_celery.cli.output import leave_nowhere, tolerate
from fixwurx_celery.domain.words import clean_lines
from fixwurx_celery.errors import FixwurxError

__all__ = ["cli", "main"]

COMMANDS: Final[Mapping[str, str]] = {
    "run": "fixwurx_celery.cli.run:run",
    "up": "fixwurx_celery.cli.up:up",
    "submit": "fixwurx_celery.cli.submit:submit",
    "bug": "fixwurx_celery.cli.bug:bug",
    "node": "fixwurx_celery.cli.node:node",
    "scale": "fixwurx_celery.cli.scale:scale",
    "strategy": "fixwurx_celery.cli.strategy:strategy",
    "watch": "fixwurx_celery.cli.watch:watch",
    "flower": "fixwurx_celery.cli.flower:flower",
    "metrics": "fixwurx_celery.cli.metrics:metrics",
    "config": "fixwurx_celery.cli.config:config",
    "doctor": "fixwurx_celery.cli.doctor:doctor",
}
"""Each command with the click command that it is; imported when it is asked for, because a command
that draws a table should not pay for the libraries of one that starts a cluster."""

EXIT_STATUS: Final = """\b
Exit status:
  0    done; of `run`: every bug was fixed
  1    refused, or failed in a way that is not listed here
  2    wrong usage, configuration or input; nothing was started
  3    the store cannot be reached, or no server for an embedded one exists
  4    done in part: not every bug was fixed (`run`) or taken (`submit`), ...
  130  ended by Ctrl-C"""


class Commands(click.Group):
    """The table above, as click wants it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        """The command, imported now; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with the nearest name for one that is unknown."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if not near or args[0].startswith("-"):
                raise
            raise click.UsageError(
                f"No such command {args[0]!r}. Did you mean {near[0]!r}?", ctx
            ) from error


@click.command(
    cls=Commands,
    epilog=EXIT_STATUS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Bugs in, verified patches out.

    \b
    fixwurx-celery run bugs.yaml -o out/      on this machine, with nothing else installed
    fixwurx-celery submit bugs.yaml           to the cluster that FIXWURX_REDIS_URL names
    """


def main() -> None:
    """Runs the command line and ends the process with its exit status."""
    tolerate()
    try:
        status = cli.main(prog_name="fixwurx-celery", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        status = 130
    except BrokenPipeError:  # the reader of our output has gone, `| head` for example
        leave_nowhere()
        status = 141
    except FixwurxError as error:
        _complain(error)
        status = error.exit_status
    except Exception as error:
        _complain(error)
        if not os.environ.get("FIXWURX_DEBUG"):
            print("set FIXWURX_DEBUG=1 to see where it comes from", file=sys.stderr)
        status = 1
    sys.exit(status if isinstance(status, int) else 0)


def _complain(error: Exception) -> None:
    """One line a problem on stderr, and a traceback only for those who ask for one."""
    if os.environ.get("FIXWURX_DEBUG"):
        traceback.print_exc()
    lines = getattr(error, "problems", None) or [str(error) or type(error).__doc__ or ""]
    if not isinstance(error, FixwurxError):
        lines = [f"unexpected {type(error).__name__}: {error}"]
    for line in lines:
        print(f"error: {clean_lines(line)}", file=sys.stderr)
