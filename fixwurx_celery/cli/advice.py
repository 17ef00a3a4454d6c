"""What to do about what must hold and does not, in words that an operator can act on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fixwurx_celery.cli.findings import Finding, fail, warn
from fixwurx_celery.settings import Settings

__all__ = ["MENDED", "about_violation"]

MENDED: Final = (
    "the records tell where it belongs, and the health check puts it back, every {check_s:g} s: "
    "look again in a minute; if it is still so, report it with `fixwurx-celery {show} --json`"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a violation of one kind means for its operator. The first rule that matches counts."""

    pattern: str
    advice: str
    is_harmless: bool = False


RULES: Final[Sequence[Rule]] = (
    Rule(
        r" at event \d",
        "it is past, and a promise was broken then: see with `fixwurx-celery {show}` whether all "
        "is as it should be, and run what is not again (`fixwurx-celery bug retry`); report it, "
        "with what the log says: `redis-cli XRANGE {{{namespace}}}:events {first} {last}`",
    ),
    Rule(
        r"was taken, and is absent$",
        "the store has lost it: submit it again. Its store was restored from an older copy, evicts "
        "(see `store memory`), or somebody deleted the bug's key",
    ),
    Rule(
        r"^bug .* is in some place, and has no record$",
        "its record was deleted: submit it again if it is still wanted; what is left of it goes "
        "when its turn comes",
    ),
    Rule(
        r"^node .* has no record$",
        "a node that lives joins again with its next heartbeat, one that is dead is taken off "
        "after {lost_s:g} s: look again in a minute; if it is still so, restart the node",
    ),
    Rule(
        r"without an outcome$",
        "how it ended is lost: run it again with `fixwurx-celery bug retry {name}`",
    ),
    Rule(
        r"has rank .* stands in line as",
        "it only starts sooner or later than it should: let it be, or cancel and retry it",
        is_harmless=True,
    ),
    Rule(
        r" waits, while node ",
        "the node takes it with its next heartbeat: look again in a minute; if it still waits, "
        "`fixwurx-celery node drain` and `node resume` of that node hand out anew; report it",
    ),
    Rule(
        r"^key .* is nobody's$",
        "nothing here reads or deletes it: find out who else writes under this FIXWURX_NAMESPACE, "
        "then `redis-cli DEL {{{namespace}}}:{name}`",
        is_harmless=True,
    ),
    Rule(
        r"^key .* never expires$",
        "it does nothing but stay: `redis-cli DEL {{{namespace}}}:{name}`",
        is_harmless=True,
    ),
    Rule(r"", MENDED),
)


def about_violation(violation: str, settings: Settings) -> Finding:
    """The finding for one line of what `violations` answers."""
    kind, name = violation.split(" ", 2)[:2]
    name = name.removesuffix(":")
    rule = next(rule for rule in RULES if re.search(rule.pattern, violation))
    events = sorted(re.findall(r"\bevent (\d+-\d+)", violation), key=_order) or ["-", "+"]
    advice = rule.advice.format(
        name=name,
        show=f"{kind} show {name}" if kind in ("bug", "node") else "doctor",
        namespace=settings.namespace,
        first=events[0],
        last=events[-1],
        check_s=settings.health_check_interval_sec,
        lost_s=settings.heartbeat_timeout_sec,
    )
    return (warn if rule.is_harmless else fail)("invariant", violation, advice)


def _order(event_id: str) -> tuple[int, int]:
    ms, _, number = event_id.partition("-")
    return int(ms), int(number)
