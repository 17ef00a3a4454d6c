"""Options as every command has them: with an environment variable that its help names."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Generic, TypeVar

import click

from fixwurx_celery.cli.names import did_you_mean

__all__ = ["NameOf", "examples", "json_option", "option"]

Member = TypeVar("Member", bound=StrEnum)
Command = TypeVar("Command", bound=Callable[..., Any])


def option(*names: str, env: str, **attributes: Any) -> Callable[[Command], Command]:
    """A click option that FIXWURX_<env> sets too."""
    return click.option(*names, envvar=f"FIXWURX_{env}", show_envvar=True, **attributes)


def json_option(command: Command) -> Command:
    """`--json`: the same answer for programs, with keys that stay."""
    return option("--json", "as_json", env="JSON", is_flag=True, help="JSON instead of a table.")(
        command
    )


def examples(*lines: str) -> str:
    """The end of a command's help: how it is typed."""
    return "\n".join(["\b", "Examples:", *(f"  fixwurx-celery {line}" for line in lines)])


class NameOf(click.ParamType, Generic[Member]):  # type: ignore[type-arg, unused-ignore]
    """A member of a closed vocabulary, in any case, with `-` as good as `_`."""

    def __init__(self, vocabulary: type[Member], name: str) -> None:
        self.vocabulary, self.name = vocabulary, name

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Member:
        """The member, or a usage error with the nearest one."""
        try:
            return self.vocabulary(str(value).upper().replace("-", "_"))
        except ValueError:
            self.fail(
                f"no {self.name} {value}: there are {', '.join(self.vocabulary)}"
                + did_you_mean(str(value), self.vocabulary),
                param,
                ctx,
            )
