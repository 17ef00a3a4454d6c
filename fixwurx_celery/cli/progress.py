"""What a run says while it goes on: live lines on a terminal, few lasting ones elsewhere.

All of it goes to stderr. Times are measured here, and nothing is foretold from means.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from fixwurx_celery.cli.table import clean
from fixwurx_celery.store.cluster_store import Event

__all__ = [
    "SCALING",
    "BugView",
    "Progress",
    "RunView",
    "about",
    "duration",
    "open_progress",
    "scaling_words",
]

SUMMARY_EVERY_S: Final = 30.0
SCALING: Final = frozenset({"scaled", "launch_failed", "provider_failed"})
"""Events of nodes that come and go of which the owner of a cluster is told."""
STYLES: Final[Mapping[str, str]] = {
    "FIXED": "green",
    "DONE": "green",
    "NOT_FIXED": "yellow",
    "NOT_REPRODUCED": "yellow",
    "TIMED_OUT": "red",
    "ERROR": "red",
    "CANCELLED": "bright_black",
}


@dataclass(slots=True)
class BugView:
    """A bug on a node, as it is shown. `printed` is None until it is known."""

    id: str
    node: str
    phase: str
    began: float
    printed: float | None = None

    def silence(self, now: float) -> str:
        """How long ago it last printed something, or began."""
        return "" if self.printed is None else f"output {duration(now - self.printed)} ago"


@dataclass(slots=True)
class RunView:
    """What there is to show of a run. Its times and BugView's are by the monotonic clock."""

    total: int
    began: float
    done: int = 0
    fixed: int = 0
    running: dict[str, BugView] = field(default_factory=dict)
    ready_nodes: int = 0
    stopping: str = ""

    def oldest(self) -> list[BugView]:
        """The bugs on nodes, the one that has been at it longest first."""
        return sorted(self.running.values(), key=lambda bug: bug.began)


class Progress(Protocol):
    """Where a run is shown."""

    def note(self, text: str) -> None:
        """A line that stays."""

    def ended(self, line: Mapping[str, Any]) -> None:
        """A bug has ended: its line of results.jsonl."""

    def show(self, view: RunView) -> None:
        """How things stand; called a few times a second."""

    def close(self) -> None:
        """Nothing more follows."""


def open_progress(bug_ids: Sequence[str]) -> Progress:
    """Live on a terminal, sparse lines elsewhere; `bug_ids` are all that it will have to show."""
    console = Console(stderr=True, highlight=False, soft_wrap=False)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveProgress(console, max(map(len, bug_ids), default=0))
    return LineProgress()


def duration(seconds: float) -> str:
    """`7.2 s`, `1:05`, `2:03:09`."""
    if seconds < 60:
        return f"{max(0.0, seconds):.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def about(line: Mapping[str, Any]) -> str:
    """What else there is to say of a bug that has ended, in one line."""
    text = clean(line.get("edit") or line.get("reason") or "")
    return f"{text} (attempt {line['attempts']})" if (line.get("attempts") or 0) > 1 else text


def scaling_words(event: Event) -> str:
    """One of those events, for a person: what is done, and why."""
    match event.action:
        case "scaled":
            return f"scaling {event.detail}"
        case "launch_failed":
            return f"node {short(event.node)} was started in vain: {event.detail}"
        case _:
            return f"nodes cannot be started or stopped: {event.detail}"


def summary(view: RunView, now: float) -> str:
    """`12 of 24 done, 12 fixed; 3 running, 9 waiting`."""
    running = len(view.running)
    waiting = view.total - view.done - running
    parts = [f"{view.done} of {view.total} done, {view.fixed} fixed"]
    if running or waiting:
        parts.append(f"{running} running, {waiting} waiting")
    if view.ready_nodes == 0:
        parts.append("nodes are starting")
    if view.stopping:
        parts.append(view.stopping)
    return f"{duration(now - view.began)}  " + "; ".join(parts)


class LineProgress:
    """A line for each bug that ends, and one every half minute, each complete in itself."""

    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def note(self, text: str) -> None:
        """See Progress."""
        print(text, file=sys.stderr, flush=True)
        self._said_at = time.monotonic()

    def ended(self, line: Mapping[str, Any]) -> None:
        """See Progress."""
        took = duration(line["seconds"] or 0)
        where = f" on {line['node']}" if line.get("node") else ""
        what = about(line)
        self.note(f"{line['id']}: {line['outcome']} after {took}{where}" + (what and f": {what}"))

    def show(self, view: RunView) -> None:
        """See Progress."""
        now = time.monotonic()
        if now - self._said_at < SUMMARY_EVERY_S:
            return
        oldest = next(iter(view.oldest()), None)
        longest = []
        if oldest:
            longest = [f"; longest: {oldest.id} for {duration(now - oldest.began)}", oldest.phase]
            longest += filter(None, [oldest.silence(now)])
        self.note(summary(view, now) + ", ".join(longest))

    def close(self) -> None:
        """See Progress."""


class LiveProgress:
    """Ended bugs scroll up; below them a line for each bug on a node, and a summary."""

    def __init__(self, console: Console, longest_id: int) -> None:
        self._console, self._longest_id = console, longest_id
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def note(self, text: str) -> None:
        """See Progress."""
        self._console.print(Text(text))

    def ended(self, line: Mapping[str, Any]) -> None:
        """See Progress."""
        outcome = str(line["outcome"])
        mark = "✔" if outcome in ("FIXED", "DONE") else "✘"
        self._console.print(
            self._line(
                [
                    (f"{mark} ", STYLES.get(outcome, "")),
                    (self._fit(line["id"]), ""),
                    (f"  {outcome:<14}", STYLES.get(outcome, "")),
                    (f"  {duration(line['seconds'] or 0):>7}", ""),
                    (f"  {short(line.get('node'))}", "bright_black"),
                    (f"  {about(line)}", "bright_black"),
                ]
            )
        )

    def show(self, view: RunView) -> None:
        """See Progress."""
        now = time.monotonic()
        room = max(1, self._console.height - 3)
        running = view.oldest()
        lines = [
            self._line(
                [
                    ("· ", "cyan"),
                    (self._fit(bug.id), ""),
                    (f"  {bug.phase:<14}", "cyan"),
                    (f"  {duration(now - bug.began):>7}", ""),
                    (f"  {bug.silence(now):<17}", "bright_black"),
                    (f"  {short(bug.node)}", "bright_black"),
                ]
            )
            for bug in running[:room]
        ]
        if len(running) > room:
            lines.append(Text(f"  and {len(running) - room} more", style="bright_black"))
        lines.append(self._line([(f"  {summary(view, now)}", "bold")]))
        self._live.update(Text("\n").join(lines), refresh=True)

    def close(self) -> None:
        """See Progress."""
        self._live.stop()

    def _fit(self, bug_id: str) -> str:
        width = min(self._longest_id, max(12, self._console.width * 2 // 5))
        return f"{bug_id[: width - 1]}…" if len(bug_id) > width else bug_id.ljust(width)

    def _line(self, parts: Sequence[tuple[str, str]]) -> Text:
        line = Text.assemble(*parts, no_wrap=True, overflow="ellipsis")
        line.truncate(self._console.width - 1, overflow="ellipsis")
        return line


def short(node: object) -> str:
    """The node's name without the host; an empty text for no node."""
    return str(node or "").partition("@")[0]
