"""What happened, in words: events of the cluster, one by one, and many at once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from fixwurx_celery.cli.findings import bugs as counted_bugs
from fixwurx_celery.domain.words import clean, counted
from fixwurx_celery.store.records import Event

__all__ = ["clock", "digest", "is_news", "is_notable", "needs", "told"]

MOST_ALIKE: Final = 3
"""Events of one kind in one look that are told one by one; more are counted."""

USUAL: Final = frozenset(
    {"bug_submitted", "bug_retried", "bug_assigned", "bug_reserved", "bug_rung_again"}
    | {"bug_started", "bug_phase", "bug_finished", "bug_released", "bug_expired", "bug_cancelled"}
    | {"bug_cancelling", "node_forgotten", "scaled"}
    | {"launch_planned", "launch_adopted", "launch_moved", "launch_ended"}
)
"""Events that a picture of the cluster shows otherwise, or that go without saying."""


def is_news(event: Event) -> bool:
    """Whether anybody wants to read of it: that the clock ticked is no news."""
    return event.action != "tick"


def is_notable(event: Event) -> bool:
    """Whether it should be seen by who looks at a picture of the cluster."""
    return is_news(event) and event.action not in USUAL


def clock(at_ms: int) -> str:
    """The time of day, here."""
    return f"{datetime.fromtimestamp(at_ms / 1000).astimezone():%H:%M:%S}"


def told(event: Event) -> str:
    """An event in one line."""
    what = [event.action.replace("_", " "), event.bug, f"on {event.node}" if event.node else ""]
    detail = f": {meaning}" if (meaning := in_words(event)) else ""
    return clean(f"{' '.join(filter(None, what))}{detail}")


def in_words(event: Event) -> str:
    """The event's detail as it is said to people."""
    match event.action:
        case "bug_submitted" | "bug_retried" | "bug_reserved" | "node_kept":
            return needs(event.detail)
        case "bug_assigned":
            return ""  # its class was told when it was submitted
        case "bug_started":
            return f"run {event.detail}"
        case "node_registered":
            return needs(event.detail.rpartition(" ")[2])
        case _:
            return event.detail


def needs(bug_class: str) -> str:
    """What bugs of the class need, or nodes of the profile have: `3 agents and gpu`."""
    agents, _, labels = bug_class.partition("|")
    return f"{counted(int(agents), 'agent')}" + (f" and {labels}" if labels else "")


def digest(events: Sequence[Event]) -> list[str]:
    """The news among these in lines with their times; many of one kind are one line, where the
    last of them stands."""
    alike: dict[str, list[Event]] = {}
    for event in filter(is_news, events):
        alike.setdefault(event.action, []).append(event)
    lines: list[tuple[tuple[int, ...], str]] = []
    for several in alike.values():
        if len(several) > MOST_ALIKE:
            lines.append((place(several[-1]), many(several)))
        else:
            lines += [(place(event), told(event)) for event in several]
    return [f"{clock(at[0])}  {line}" for at, line in sorted(lines)]


def place(event: Event) -> tuple[int, ...]:
    """Where it stands in the log: its time in ms, and a number."""
    return tuple(int(part) for part in event.id.split("-"))


def many(events: Sequence[Event]) -> str:
    """Events of one kind in one line: how many, and the first and last of what they are about."""
    subject = "bug" if events[0].bug else "node"
    names = list(dict.fromkeys(getattr(event, subject) for event in events))
    how_many = counted_bugs(len(names)) if subject == "bug" else counted(len(names), "node")
    what = events[0].action.replace("_", " ")
    if len(names) < len(events):
        what = f"{what} {len(events)} times"
    return clean(f"{what}: {how_many}, {names[0]} to {names[-1]}")
