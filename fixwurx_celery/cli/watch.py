"""`watch`: the cluster as it changes, drawn anew on a terminal, line by line anywhere else."""

import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import click

from fixwurx_celery.cli.connection import cluster, patiently
from fixwurx_celery.cli.findings import bugs as counted
from fixwurx_celery.cli.node import NODE_COLUMNS, node_row
from fixwurx_celery.cli.options import examples, json_option, option
from fixwurx_celery.cli.table import Column, age, drawn, terminal_size
from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.domain.nodes import WorkerState
from fixwurx_celery.errors import StoreUnavailable
from fixwurx_celery.store import BugRecord, ClusterStore, Snapshot
from fixwurx_celery.store.records import Event

__all__ = ["frame", "watch"]

EVENTS_KEPT: Final = 200
RUNNING_READ: Final = 100
STORE_AWAY_S: Final = 60.0
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
OTHER_SCREEN, THIS_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
RUNNING: Final = [
    Column(title="bug", is_flexible=True),
    Column(title="phase"),
    Column(title="node", is_flexible=True),
    Column(title="runs for", is_right=True),
    Column(title="last output", is_right=True),
]


@click.command(epilog=examples("watch", "watch --interval 5", "watch --json | jq .waiting"))
@option(
    "--interval", env="WATCH_INTERVAL", type=click.FloatRange(min=0.2, max=3600), default=1.0,
    show_default=True, help="Seconds between two looks.",
)  # fmt: skip
@option(
    "--once", env="WATCH_ONCE", is_flag=True, help="Look once, and end."
)  # fmt: skip
@json_option
def watch(interval: float, once: bool, as_json: bool) -> None:
    """Shows the cluster as it changes, until Ctrl-C.

    On a terminal: nodes, waiting lines, running bugs and what happened last. Elsewhere what happens
    is printed line by line; with --json, a line of JSON with the totals for every look.
    """
    with cluster() as connection:
        store = connection.store
        if as_json:
            for snapshot in looks(store, interval, once):
                click.echo(json.dumps(totals(snapshot)))
        elif once:
            snapshot = store.snapshot()
            columns, _ = terminal_size() or (None, None)
            for line in frame(snapshot, running(store, snapshot), [], columns, None):
                click.echo(line)
        elif sys.stdout.isatty():
            draw(store, interval)
        else:
            print_events(store)


def looks(store: ClusterStore, interval_s: float, once: bool) -> Iterator[Snapshot]:
    """A snapshot every so often."""
    while True:
        yield patiently(store.snapshot)
        if once:
            return
        time.sleep(interval_s)


def print_events(store: ClusterStore) -> None:
    """What happens, line by line, for ever."""
    after = store.last_event_id()
    while True:
        for event in patiently(lambda: store.events(after, wait_ms=1000)):  # noqa: B023
            after = event.id
            if is_news(event):
                click.echo(told(event))


def draw(store: ClusterStore, interval_s: float) -> None:
    """The picture, again and again on a screen of its own, until Ctrl-C."""
    after = store.last_event_id()
    happened: deque[Event] = deque(maxlen=EVENTS_KEPT)
    answered_at = time.monotonic()
    click.echo(OTHER_SCREEN, nl=False)
    try:
        while True:
            columns, rows = terminal_size() or (80, 24)
            try:
                snapshot = store.snapshot()
                for event in store.events(after):
                    after = event.id
                    if is_news(event):
                        happened.append(event)
                lines = frame(snapshot, running(store, snapshot), happened, columns, rows)
                answered_at = time.monotonic()
            except StoreUnavailable as error:
                if time.monotonic() - answered_at > STORE_AWAY_S:
                    raise
                lines = [str(error)[:columns], "trying again"]
            body = "\n".join(f"{line}{CLEAR_LINE}" for line in lines[: rows - 1])
            click.echo(f"{HOME}{body}{CLEAR_BELOW}", nl=False)
            sys.stdout.flush()
            time.sleep(interval_s)
    except KeyboardInterrupt:
        return
    finally:
        click.echo(THIS_SCREEN, nl=False)


def running(store: ClusterStore, snapshot: Snapshot) -> list[BugRecord]:
    """The bugs that run, those that have run longest first."""
    held = [bug for node in snapshot.live for bug in node.bugs][:RUNNING_READ]
    records = [record for record in store.bugs(held) if record.state is BugState.RUNNING]
    return sorted(records, key=lambda record: record.started_ms or 0)


def totals(snapshot: Snapshot) -> dict[str, object]:
    """The cluster in a few numbers, keys that stay."""
    return {
        "at_ms": snapshot.now_ms,
        "strategy": str(snapshot.strategy),
        "nodes": len(snapshot.live),
        "total_agents": snapshot.total_agents,
        "free_agents": snapshot.free_agents,
        "on_nodes": sum(len(node.bugs) for node in snapshot.live),
        "waiting": snapshot.waiting,
        "finished": snapshot.finished,
    }


def frame(
    snapshot: Snapshot,
    records: Sequence[BugRecord],
    happened: Sequence[Event],
    columns: int | None,
    rows: int | None,
) -> list[str]:
    """The picture in lines: totals, nodes, lines, running bugs, and the latest events below.

    When the terminal is low, the longest part gives way first, and says how much is missing.
    """
    counts = totals(snapshot)
    busy = snapshot.total_agents - snapshot.free_agents
    head = [
        f"{datetime.fromtimestamp(snapshot.now_ms / 1000).astimezone():%H:%M:%S}  "
        f"{counts['nodes']} nodes  {busy} of {snapshot.total_agents} agents busy  "
        f"{counts['on_nodes']} bugs on nodes  {counts['waiting']} waiting  "
        f"{counts['finished']} ended  {snapshot.strategy}",
        "",
    ]
    nodes = [one for one in snapshot.with_starting if one.state is not WorkerState.OFFLINE]
    parts = [
        drawn(NODE_COLUMNS, [node_row(node, snapshot) for node in nodes], columns)
        if nodes
        else ["no node is in service"],
        [line_told(line, snapshot.now_ms) for line in snapshot.lines],
        drawn(
            RUNNING,
            [running_row(record, snapshot.now_ms) for record in records],
            columns,
        )
        if records
        else [],
        [told(event) for event in reversed(happened)],
    ]
    if rows is not None:
        room = rows - 1 - len(head) - sum(1 for part in parts if part)
        sizes = shared([len(part) for part in parts], max(0, room))
        parts = [cut(part, size) for part, size in zip(parts, sizes, strict=True)]
    lines = head[:]
    for part in parts:
        if part:
            lines += [*part, ""]
    return [line if columns is None or "\x1b" in line else line[:columns] for line in lines[:-1]]


def running_row(record: BugRecord, now_ms: int) -> list[object]:
    """The cells of a bug that runs."""
    took_ms, silent_ms = now_ms - (record.started_ms or 0), record.silent_ms(now_ms)
    return [record.id, record.phase, record.worker_id, age(took_ms), f"{age(silent_ms)} ago"]


def shared(wanted: Sequence[int], room: int) -> list[int]:
    """How many lines each part gets: what it wants, or a fair share of the room."""
    given = [0] * len(wanted)
    while room > 0 and any(w > g for w, g in zip(wanted, given, strict=True)):
        for i, want in enumerate(wanted):
            if room > 0 and want > given[i]:
                given[i] += 1
                room -= 1
    return given


def cut(part: list[str], size: int) -> list[str]:
    """The part in so many lines; the last one says how many are missing."""
    if len(part) <= size or size == 0:
        return part[:size]
    return [*part[: size - 1], f"... {len(part) - size + 1} more"]


def line_told(line: Mapping[str, Any], now_ms: int) -> str:
    """A waiting line in words."""
    since = line.get("head_since_ms")
    waits = f", the first ({line['head']}) for {age(now_ms - int(since))}" if since else ""
    return f"{counted(int(line['waiting']))} in line for {needs(str(line['class']))}{waits}"


def needs(bug_class: str) -> str:
    """What bugs of the class need, or nodes of the profile have: `3 agents and gpu`."""
    agents, _, labels = bug_class.partition("|")
    return f"{agents} agents" + (f" and {labels}" if labels else "")


def is_news(event: Event) -> bool:
    """Whether anybody wants to read of it: that the clock ticked is no news."""
    return event.action != "tick"


def told(event: Event) -> str:
    """An event in one line."""
    at = datetime.fromtimestamp(event.at_ms / 1000).astimezone()
    what = event.action.replace("_", " ")
    where = f" on {event.node}" if event.node else ""
    detail = f": {meaning}" if (meaning := in_words(event)) else ""
    return f"{at:%H:%M:%S}  {what} {event.bug}{where}{detail}".replace("  on", " on")


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
