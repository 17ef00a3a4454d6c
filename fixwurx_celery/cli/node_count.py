"""How many nodes an embedded cluster has, as it is typed: `3`, or `1..4`."""

from dataclasses import dataclass
from typing import Final

import click

__all__ = ["NODES_HELP", "NodeCount", "NodeCountType"]

NODES_HELP: Final = (
    "Nodes of the embedded cluster, or MIN..MAX: then others are started while bugs wait for "
    "them, and end when they are not needed. [default: one for every three cores]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCount:
    """At least this many nodes, and at most that many."""

    least: int
    most: int


class NodeCountType(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """`N` or `MIN..MAX`, where MIN is no less than `fewest`."""

    name = "N|MIN..MAX"

    def __init__(self, *, fewest: int) -> None:
        self.fewest = fewest

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> NodeCount:
        """The numbers, or a usage error that says how they are written."""
        from fixwurx_celery.embedded import MOST_NODES

        if isinstance(value, NodeCount):
            return value
        text = str(value).strip()
        least, dots, most = (part.strip() for part in text.partition(".."))
        if not dots:
            most = least
        if not all(part.isascii() and part.isdigit() for part in (least, most)):
            self.fail(
                f"{text!r} is no number of nodes; write for example 3, or 1..4 for as many as are "
                "needed",
                param,
                ctx,
            )
        count = NodeCount(least=int(least), most=int(most))
        if count.least > count.most:
            self.fail(f"{text}: the first must not be larger; write {most}..{least}", param, ctx)
        if not 1 <= count.most <= MOST_NODES:
            self.fail(f"{text}: there are 1 to {MOST_NODES} nodes", param, ctx)
        if count.least < self.fewest:
            self.fail(f"{text}: there is at least {self.fewest} node", param, ctx)
        return count
