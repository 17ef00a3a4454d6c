"""What a run says while it goes on: live lines on a terminal, few lasting ones elsewhere.

All of it goes to stderr. Times are measured here, and nothing is foretold from means.
"""

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from fixwurx_celery.cli.footer import Footer
from fixwurx_celery.cli.running import RunningRow, clock_face, running_table
from fixwurx_celery.cli.terminal import (
    QUIET,
    STRONG,
    fitting,
    is_live,
    shortened,
    styled,
    styled_word,
)
from fixwurx_celery.domain.clocks import RunClocks
from fixwurx_celery.domain.words import clean, clean_lines
from fixwurx_celery.store.records import Event

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
WIDEST_OUTCOME: Final = len("NOT_REPRODUCED")
LEAST_ID: Final = 12


@dataclass(slots=True)
class BugView:
    """A bug on a node, as it is shown. `printed` is None until it is known."""

    id: str
    node: str
    phase: str
    began: float
    clocks: RunClocks
    printed: float | None = None
    is_seen_from_its_start: bool = True

    def row(self, now: float) -> RunningRow:
        """Its row of the table."""
        return RunningRow(
            bug=self.id,
            phase=self.phase,
            clock=self.clocks.clock.word,
            clock_s=self.clocks.shown_s(now),
            limit_s=self.clocks.limit_s,
            ran_s=now - self.began,
            silent_s=None if self.printed is None else now - self.printed,
            node=short(self.node),
        )


@dataclass(slots=True)
class RunView:
    """What there is to show of a run. Its times and BugView's are by the monotonic clock."""

    total: int
    began: float
    done: int = 0
    fixed: int = 0
    running: dict[str, BugView] = field(default_factory=dict)
    waiting_since: float | None = None
    """Since when one waits that has waited longest."""
    ready_nodes: int = 0
    stopping: str = ""

    def oldest(self) -> list[BugView]:
        """The bugs on nodes, the one that has been at it longest first."""
        return sorted(self.running.values(), key=lambda bug: bug.began)


class Progress(Protocol):
    """Where a run is shown."""

    def note(self, text: str) -> None:
        """Lines that stay."""

    def ended(self, line: Mapping[str, Any]) -> None:
        """A bug has ended: its line of results.jsonl."""

    def show(self, view: RunView) -> None:
        """How things stand; called a few times a second."""

    def aside(self) -> contextlib.AbstractContextManager[None]:
        """Within it, others may write to the terminal."""

    def close(self) -> None:
        """Nothing more follows."""


def open_progress(bug_ids: Sequence[str]) -> Progress:
    """Live on a terminal, sparse lines elsewhere; `bug_ids` are all that it will have to show."""
    if is_live(sys.stderr):
        return LiveProgress(Footer(sys.stderr), max(map(len, bug_ids), default=0))
    return LineProgress()


def duration(seconds: float) -> str:
    """`7.2 s`, `1:05`, `2:03:09`."""
    return f"{max(0.0, seconds):.1f} s" if seconds < 60 else clock_face(seconds)


def about(line: Mapping[str, Any]) -> str:
    """What else there is to say of a bug that has ended, in one line."""
    text = clean(line.get("edit") or line.get("reason") or "")
    return f"{text} (attempt {line['attempts']})" if (line.get("attempts") or 0) > 1 else text


def scaling_words(event: Event) -> str:
    """One of those events, for a person: what is done, and why."""
    match event.action:
        case "scaled":
            return clean(f"scaling {event.detail}")
        case "launch_failed":
            return clean(f"node {short(event.node)} was started in vain: {event.detail}")
        case _:
            return clean(f"nodes cannot be started or stopped: {event.detail}")


def summary(view: RunView, now: float) -> list[tuple[int, str]]:
    """How far the run is, in parts; those with higher numbers may be left out first."""
    running = len(view.running)
    waiting = view.total - view.done - running
    long = (
        "" if view.waiting_since is None else f" for up to {clock_face(now - view.waiting_since)}"
    )
    return [
        (2, clock_face(now - view.began)),
        (0, f"{view.done} of {view.total} done"),
        (3, f"{view.fixed} fixed"),
        (4, f"{running} running" if running or waiting else ""),
        (5, f"{waiting} waiting{long}" if running or waiting else ""),
        (1, view.stopping or ("nodes are starting" if view.ready_nodes == 0 else "")),
    ]


class LineProgress:
    """A line for each bug that ends, and one every half minute, each complete in itself."""

    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def note(self, text: str) -> None:
        """See Progress."""
        print(clean_lines(text), file=sys.stderr, flush=True)
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
        parts = [text for _, text in summary(view, now) if text]
        if oldest := next(iter(view.oldest()), None):
            row = oldest.row(now)
            _, phase, clock, ran, silent, _ = map(str, row.cells())
            parts.append(f"longest: {row.bug} for {ran}, in {phase}, {clock}")
            parts += [f"silent for {silent}"] if silent else []
        self.note(", ".join(parts))

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """See Progress."""
        yield

    def close(self) -> None:
        """See Progress."""


class LiveProgress:
    """Ended bugs scroll up; below them a line for each bug on a node, and a summary."""

    def __init__(self, footer: Footer, longest_id: int) -> None:
        self._footer, self._longest_id = footer, longest_id
        self._lines: list[str] = []

    def note(self, text: str) -> None:
        """See Progress."""
        self._footer.draw(self._lines, above=clean_lines(text))

    def ended(self, line: Mapping[str, Any]) -> None:
        """See Progress."""
        outcome = str(line["outcome"])
        width = self._footer.width
        id_width = min(self._longest_id, max(LEAST_ID, width * 2 // 5))
        head = f"{shortened(line['id'], id_width):<{id_width}}  "
        rest = f"  {duration(line['seconds'] or 0):>7}  {short(line.get('node'))}  {about(line)}"
        fits = shortened(rest, max(0, width - id_width - 2 - WIDEST_OUTCOME))
        word = styled_word(f"{outcome:<{WIDEST_OUTCOME}}", sys.stderr)
        self._footer.draw(self._lines, above=f"{head}{word}{fits}".rstrip())

    def show(self, view: RunView) -> None:
        """See Progress."""
        now = time.monotonic()
        width, room = self._footer.width, self._footer.height - 1
        running = view.oldest()
        shown = running if len(running) < room else running[: max(0, room - 2)]
        lines = running_table([bug.row(now) for bug in shown], width, sys.stderr) if shown else []
        if len(running) > len(shown):
            more = f"and {len(running) - len(shown)} more running"
            lines.append(styled(shortened(more, width), QUIET, sys.stderr))
        lines.append(styled(fitting(summary(view, now), width), STRONG, sys.stderr))
        self._lines = lines
        self._footer.draw(lines)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """See Progress."""
        self._footer.erase()
        yield
        self._footer.draw(self._lines)

    def close(self) -> None:
        """See Progress."""
        self._footer.erase()


def short(node: object) -> str:
    """The node's name without the host; an empty text for no node."""
    return str(node or "").partition("@")[0]
