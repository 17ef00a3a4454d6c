"""The picture of a cluster that `watch` shows: nodes, what waits, runs and has ended, and why the
number of nodes changed.

Each part is a heading with rows. Where the terminal is low, the longest part gives way first: what
does not fit is summed up in its last line.
"""

import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fixwurx_celery.cli.findings import bugs as counted_bugs
from fixwurx_celery.cli.news import clock, needs, told
from fixwurx_celery.cli.running import RunningRow, clock_face, running_table
from fixwurx_celery.cli.table import Column, age, drawn, verdict
from fixwurx_celery.cli.terminal import QUIET, STRONG, fitting, shortened, styled
from fixwurx_celery.domain.clocks import clock_of
from fixwurx_celery.domain.nodes import WorkerNode, WorkerState
from fixwurx_celery.domain.words import clean, counted
from fixwurx_celery.store import BugRecord, Event, Running, Snapshot

__all__ = ["Decided", "Look", "picture", "shared"]

NODES: Final = [
    Column(title="node", is_flexible=True),
    Column(title="state", least=8),
    Column(title="agents", is_right=True),
    Column(title="", is_optional=True),  # the same, drawn
    Column(title="health", is_right=True, is_optional=True),
    Column(title="seen", is_right=True, is_optional=True, least=6),
    Column(title="capabilities", is_flexible=True, is_optional=True),
]
ENDED: Final = [
    Column(title="ended", is_flexible=True),
    Column(title="outcome", least=9),
    Column(title="took", is_right=True, is_optional=True, least=6),
    Column(title="ago", is_right=True, least=6),
    Column(title="node", is_flexible=True, is_optional=True),
    Column(title="what", is_flexible=True, is_optional=True),
]
WIDEST_BAR: Final = 12
SICK: Final = 0.5
"""A node of this health or less is only probed."""
IN_TIME_MS: Final = 3000
ROOMY: Final = 30
"""With so many rows there is always an empty one between two parts."""
NUMBER = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A scaling decision that changed something: when, and what and why."""

    at_ms: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen of the cluster at one instant, the newest of what happened first."""

    snapshot: Snapshot
    running: Sequence[Running]
    ended: Sequence[BugRecord]
    scaled: Decided | None
    happened: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the picture: `lines`, of which the first `fixed` are a heading; and what is said of
    the rows that are left out, when so many are shown."""

    lines: Sequence[str]
    fixed: int
    rest: Callable[[int], str]

    def within(self, size: int) -> list[str]:
        """In so many lines."""
        if len(self.lines) <= size:
            return list(self.lines)
        heading = self.lines[: self.fixed] if size > self.fixed + 1 else []
        shown = max(0, size - len(heading) - 1)
        rows = self.lines[self.fixed : self.fixed + shown]
        return [*heading, *rows, styled(self.rest(shown), QUIET)][:size]


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


def shared(wanted: Sequence[int], room: int) -> list[int]:
    """How many lines each part gets: what it wants, or a fair share of the room."""
    given = [0] * len(wanted)
    while room > 0 and any(w > g for w, g in zip(wanted, given, strict=True)):
        for i, want in enumerate(wanted):
            if room > 0 and want > given[i]:
                given[i] += 1
                room -= 1
    return given


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


# -- nodes -------------------------------------------------------------------------------------


def nodes_part(snapshot: Snapshot, columns: int | None) -> Part:
    """The nodes, those in trouble first."""
    nodes = [one for one in snapshot.with_starting if one.state is not WorkerState.OFFLINE]
    if not nodes:
        return Part([shortened("no node is in service", columns or 80)], 1, lambda _: "")
    nodes.sort(key=lambda node: (not is_troubled(node), natural(node.worker_id)))
    rows = [node_cells(node, snapshot) for node in nodes]

    def rest(shown: int) -> str:
        left = nodes[shown:]
        states = Counter(str(node.state) for node in left)
        busy = sum(node.total_agents - node.free_agents for node in left)
        parts = [
            (0, f"and {counted(len(left), 'more node')}" if shown else f"{len(left)} nodes"),
            (2, ", ".join(f"{count} {state}" for state, count in states.most_common())),
            (1, f"{busy} of {sum(node.total_agents for node in left)} agents busy"),
        ]
        return fitting(parts, columns)

    return Part(drawn(NODES, rows, columns), 1, rest)


def is_troubled(node: WorkerNode) -> bool:
    """Whether somebody may want to look at it."""
    return node.state not in (WorkerState.READY, WorkerState.BUSY) or node.health <= SICK


def natural(name: str) -> list[tuple[int, str]]:
    """By what people put names in order: node2 comes before node10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in NUMBER.split(name)]


def node_cells(node: WorkerNode, snapshot: Snapshot) -> list[object]:
    """The row of a node."""
    busy = node.total_agents - node.free_agents
    if node.state is WorkerState.STARTING:
        return [node.worker_id, node.state, f"-/{node.total_agents}", "", "-", "-", ""]
    stage = snapshot.stage_of(node.worker_id)
    return [
        node.worker_id,
        "STOPPING" if stage in ("draining", "stopping") else node.state,
        f"{busy}/{node.total_agents}",
        bar(busy, node.total_agents),
        f"{node.health:.2f}",
        seen(snapshot.now_ms - node.last_heartbeat * 1000),
        ",".join(sorted(node.capabilities)),
    ]


def seen(ms: float) -> str:
    """When its heart last beat; one that beats in time is just there."""
    return "now" if ms < IN_TIME_MS else age(ms)


def bar(busy: int, total: int) -> str:
    """How much of it is taken, drawn; an agent a character as long as that is short."""
    full, empty = (
        ("▮", "▯") if (sys.stdout.encoding or "").lower().startswith("utf") else ("#", ".")
    )
    if total > WIDEST_BAR:  # what is taken is seen, and what is free
        busy = max(busy > 0, min(WIDEST_BAR - (busy < total), round(busy * WIDEST_BAR / total)))
        total = WIDEST_BAR
    return full * busy + empty * (total - busy)


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
        parts = [
            (0, f"and {len(left)} more running" if shown else f"{len(left)} running"),
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
