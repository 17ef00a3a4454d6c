"""The picture of a cluster that `watch` shows: nodes, what waits, runs and has ended, and why the
number of nodes changed.

Each part is a heading with rows. Where the terminal is low, the longest part gives way first: what
does not fit is summed up in its last line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fixwurx_celery.cli.findings import bugs as counted_bugs
from fixwurx_celery.cli.news import clock, needs, told
from fixwurx_celery.cli.nodes_part import nodes_part
from fixwurx_celery.cli.part import Part, shared
from fixwurx_celery.cli.running import RunningRow, clock_face, running_table
from fixwurx_celery.cli.table import Column, age, drawn, verdict
from fixwurx_celery.cli.terminal import STRONG, fitting, shortened, styled
from fixwurx_celery.domain.clocks import clock_of
from fixwurx_celery.domain.words import clean, counted
from fixwurx_celery.store import BugRecord, Event, Running, Snapshot

__all__ = ["Decided", "Look", "picture"]

ENDED: Final = [
    Column(title="ended", is_flexible=True),
    Column(title="outcome", least=9),
    Column(title="took", is_right=True, is_optional=True, least=6),
    Column(title="ago", is_right=True, least=6),
    Column(title="node", is_flexible=True, is_optional=True),
    Column(title="what", is_flexible=True, is_optional=True),
]
ROOMY: Final = 30
"""With so many rows there is always an empty one between two parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A scaling decision that changed something: when, and what and why."""

    at_ms: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen of the cluster at one instant, the newest of what happened first. Of a great
    many bugs on nodes some are `unread`."""

    snapshot: Snapshot
    running: Sequence[Running]
    unread: int = 0
    ended: Sequence[BugRecord]
    scaled: Decided | None
    happened: Sequence[Event]


def picture(look: Look, columns: int | None, rows: int | None) -> list[str]:
    """The picture in lines that fit; in as many and as wide as it takes without a size."""
    title = styled(fitting(totals_told(look.snapshot), columns, "  "), STRONG)
    parts = [
        part
        for part in (
            nodes_part(look.snapshot, columns),
            waiting_part(look.snapshot, columns),
            running_part(look, columns),
            ended_part(look, columns),
            scaling_part(look, columns),
            news_part(look.happened, columns),
        )
        if part.lines
    ]
    if rows is None:
        return spaced(title, [list(part.lines) for part in parts])
    sizes = [len(part.lines) for part in parts]
    between = 1 if 1 + sum(sizes) + len(sizes) <= rows or rows >= ROOMY else 0
    room = rows - 1 - between * len(sizes)
    kept = [
        part.within(size)
        for part, size in zip(parts, shared(sizes, max(0, room)), strict=True)
        if size
    ]
    return spaced(title, kept) if between else [title, *(line for part in kept for line in part)]


def spaced(title: str, parts: Sequence[Sequence[str]]) -> list[str]:
    """The parts below the title with an empty line between each two."""
    lines = [title]
    for part in parts:
        lines += ["", *part]
    return lines


def totals_told(snapshot: Snapshot) -> list[tuple[int, str]]:
    """The cluster in a few words, each with a number that is the higher the sooner it may go."""
    busy = snapshot.total_agents - snapshot.free_agents
    held = sum(len(node.bugs) for node in snapshot.live)
    return [
        (2, clock(snapshot.now_ms)),
        (3, counted(snapshot.live_nodes, "node")),
        (0, f"{busy} of {snapshot.total_agents} agents busy"),
        (4, f"{counted_bugs(held)} on nodes"),
        (1, f"{snapshot.waiting} waiting"),
        (5, f"{snapshot.finished} ended"),
        (6, str(snapshot.strategy)),
    ]


# -- bugs --------------------------------------------------------------------------------------


def waiting_part(snapshot: Snapshot, columns: int | None) -> Part:
    """The lines in which bugs wait, the longest first."""
    lines = sorted(snapshot.lines, key=lambda line: -int(line["waiting"]))
    rows = [fitting(line_told(line, snapshot.now_ms), columns) for line in lines]
    if snapshot.delayed:
        rows.append(
            fitting([(0, f"{counted_bugs(snapshot.delayed)} pausing before another run")], columns)
        )

    def rest(shown: int) -> str:
        more = sum(int(line["waiting"]) for line in lines[shown:])
        how_many = counted(len(lines) - shown, "line")
        text = f"and {how_many} more with {counted_bugs(more)}" if shown else f"{more} waiting"
        return fitting([(0, text)], columns)

    return Part(rows, 0, rest)


def line_told(line: Mapping[str, Any], now_ms: int) -> list[tuple[int, str]]:
    """A waiting line in words."""
    since = line.get("head_since_ms")
    head = clean(line.get("head", ""))
    return [
        (0, f"{counted_bugs(int(line['waiting']))} waiting for {needs(str(line['class']))}"),
        (1, f"the first ({head}) for {ago(now_ms - int(since))}" if since else ""),
    ]


def ago(ms: float) -> str:
    """An age in whole seconds at least: fractions of one are nothing to look at."""
    return age(max(1000.0, ms))


def running_part(look: Look, columns: int | None) -> Part:
    """The bugs that run, those that have run longest first."""
    running = sorted(look.running, key=lambda one: -one.ran_ms)
    if not running:
        return Part([], 1, lambda _: "")
    rows = [
        RunningRow(
            bug=one.bug,
            phase=one.phase,
            clock=clock_of(one.phase).word,
            clock_s=one.clock_ms / 1000,
            ran_s=one.ran_ms / 1000,
            silent_s=one.silent_ms / 1000,
            node=one.node,
        )
        for one in running
    ]

    def rest(shown: int) -> str:
        left = running[shown:]
        longest, quietest = (
            clock_face(max(getattr(one, name) for one in left) / 1000)
            for name in ("ran_ms", "silent_ms")
        )
        how_many = f"{len(left) + look.unread}"
        state = "on nodes" if look.unread else "running"
        parts = [
            (0, f"and {how_many} more {state}" if shown else f"{how_many} {state}"),
            (1, f"for up to {longest}"),
            (2, f"silent for up to {quietest}"),
        ]
        return fitting(parts, columns)

    return Part(running_table(rows, columns), 1, rest)


def ended_part(look: Look, columns: int | None) -> Part:
    """The bugs that ended last."""
    if not look.ended:
        return Part([], 1, lambda _: "")
    rows = []
    for record in look.ended:
        outcome, _, what = verdict(record.outcome).partition(": ")
        took_ms = None
        if record.started_ms and record.finished_ms:
            took_ms = record.finished_ms - record.started_ms
        since_ms = look.snapshot.now_ms - (record.finished_ms or 0)
        node = record.worker_id or ""
        rows.append([record.id, short_outcome(outcome), age(took_ms), ago(since_ms), node, what])

    def rest(shown: int) -> str:
        text = f"{counted_bugs(look.snapshot.finished)} ended"
        return fitting([(0, f"of {text}" if shown else text)], columns)

    return Part(drawn(ENDED, rows, columns), 1, rest)


def short_outcome(outcome: str) -> str:
    """The verdict; of an engine of the user's that answers anything else, that it is done."""
    return outcome if outcome.isupper() and len(outcome) <= 16 else "DONE"


# -- why it is so ------------------------------------------------------------------------------


def scaling_part(look: Look, columns: int | None) -> Part:
    """The last decision that changed the number of nodes."""
    if look.scaled is None:
        return Part([], 0, lambda _: "")
    since_ms = look.snapshot.now_ms - look.scaled.at_ms
    text = clean(f"scaled {ago(since_ms)} ago, {look.scaled.text}")
    return Part([text if columns is None else shortened(text, columns)], 0, lambda _: "")


def news_part(happened: Sequence[Event], columns: int | None) -> Part:
    """What else happened."""
    lines = [f"{clock(event.at_ms)}  {told(event)}" for event in happened]
    if columns is not None:
        lines = [shortened(line, columns) for line in lines]
    return Part(lines, 0, lambda shown: f"and {len(lines) - shown} more" if shown else lines[0])
