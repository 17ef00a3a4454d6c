"""`watch`: the cluster as it changes, drawn anew on a terminal, line by line anywhere else."""

import contextlib
import math
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import click

from fixwurx_celery.cli.connection import cluster, patiently
from fixwurx_celery.cli.news import digest, is_notable
from fixwurx_celery.cli.options import examples, json_option, option
from fixwurx_celery.cli.output import pause
from fixwurx_celery.cli.picture import Decided, Look, picture
from fixwurx_celery.cli.screen import Screen, Wake
from fixwurx_celery.cli.table import age, json_text
from fixwurx_celery.cli.terminal import BAD, QUIET, is_live, shortened, styled, terminal_width
from fixwurx_celery.domain.words import clean
from fixwurx_celery.errors import StoreUnavailable
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore, Snapshot
from fixwurx_celery.store.records import Event
from fixwurx_celery.store.scaling_state import ScalingState

__all__ = ["watch"]

NOTABLE_KEPT: Final = 200
ENDED_SHOWN: Final = 30
RUNNING_READ: Final = 1000
EVENTS_AT_ONCE: Final = 10_000
LATE_S: Final = 1.5
"""A look that takes so much longer than it should is said to be late."""


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
    """Shows the cluster as it changes, until Ctrl-C or `q`.

    On a terminal: nodes and how busy they are, what waits, runs and has ended, the last scaling
    decision, and what else happened. CLOCK is what the time of a bug is counted as (set-up, run,
    verify), SILENT how long ago it printed something.

    Elsewhere what happens is printed line by line, many things of one kind together; with --json,
    a line of JSON with the totals for every look. A store that is away is waited for.
    """
    with cluster() as connection:
        store = connection.store
        if as_json:
            for snapshot in looks(store, interval, once):
                click.echo(json_text(totals(snapshot)))
        elif once:
            for line in picture(Looker(store).look(), terminal_width(), None):
                click.echo(line)
        elif is_live(sys.stdout):
            draw(connection.settings, interval)
        else:
            print_events(store, interval)


def looks(store: ClusterStore, interval_s: float, once: bool) -> Iterator[Snapshot]:
    """A snapshot every so often."""
    if once:
        yield store.snapshot()
        return
    while True:
        yield patiently(store.snapshot, math.inf)
        pause(interval_s)


def print_events(store: ClusterStore, interval_s: float) -> None:
    """What happens, line by line, for ever."""
    after = store.last_event_id()
    while True:
        pause(interval_s)
        events = patiently(lambda: store.events(after, most=EVENTS_AT_ONCE), math.inf)  # noqa: B023
        after = events[-1].id if events else after
        for line in digest(events):
            click.echo(line)


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


class Looker:
    """Looks at the cluster, and remembers what the next look could not see."""

    def __init__(self, store: ClusterStore) -> None:
        self._store = store
        self._after = ""
        self._happened: deque[Event] = deque(maxlen=NOTABLE_KEPT)
        self._scaled: Decided | None = None

    def look(self) -> Look:
        """The cluster now. Raises StoreUnavailable; what happened meanwhile is seen by the next."""
        store = self._store
        if not self._after:
            decided = ScalingState(store).decisions(1, changes_only=True)
            for one in decided:
                self._scaled = Decided(at_ms=one.at_ms, text=f"{one.action}: {one.reason}")
            self._after = store.last_event_id()
        events = store.events(self._after, most=EVENTS_AT_ONCE)
        snapshot = store.snapshot()
        held = [bug for node in snapshot.live for bug in node.bugs]
        running = store.running(held[:RUNNING_READ])
        ended = store.bugs([bug_id for bug_id, _ in store.ended(ENDED_SHOWN)])
        for event in events:
            self._after = event.id
            if event.action == "scaled":
                self._scaled = Decided(at_ms=event.at_ms, text=event.detail)
            elif is_notable(event):
                self._happened.appendleft(event)
        return Look(
            snapshot=snapshot,
            running=running,
            unread=max(0, len(held) - RUNNING_READ),
            ended=ended,
            scaled=self._scaled,
            happened=list(self._happened),
        )


class Seen:
    """What one thread sees and another shows: the last look, and since when there was none."""

    def __init__(self) -> None:
        self.look: Look | None = None
        self.at = time.monotonic()
        self.trouble: Any = ""
        self.is_over = threading.Event()

    def keep_looking(self, looker: Looker, interval_s: float, screen: Screen) -> None:
        """Looks every so often until told that it is over."""
        while not self.is_over.is_set():
            try:
                look = looker.look()
            except StoreUnavailable as error:
                self.trouble = error.__cause__ or error
            except Exception as error:  # shown; the next look may do better
                self.trouble = f"{type(error).__name__}: {error}"
            else:
                self.look, self.at, self.trouble = look, time.monotonic(), ""
            screen.wake()
            self.is_over.wait(interval_s)

    def lines(self, columns: int, rows: int, late_after_s: float) -> list[str]:
        """The picture; when it is old, a word about that, and the picture pale below it."""
        since_s = time.monotonic() - self.at
        if self.look is None:
            return [shortened(clean(self.trouble or "looking at the cluster"), columns)]
        if not self.trouble and since_s < late_after_s:
            return picture(self.look, columns, rows)
        why = clean(self.trouble or "it does not answer")
        words = f"the store is away, and this is {age(since_s * 1000)} old: {why}"
        old = [click.unstyle(line) for line in picture(self.look, columns, rows - 1)]
        return [styled(shortened(words, columns), BAD), *(styled(line, QUIET) for line in old)]


def draw(settings: Settings, interval_s: float) -> None:
    """The picture, again and again on a screen of its own, until Ctrl-C or `q`."""
    # One that is not patient: an answer that does not come is said soon.
    store = ClusterStore.from_settings(settings, is_patient=False)
    seen = Seen()
    late_after_s = interval_s + LATE_S
    with contextlib.suppress(KeyboardInterrupt), Screen() as screen:
        threading.Thread(
            target=seen.keep_looking,
            args=(Looker(store), interval_s, screen),
            name="look",
            daemon=True,
        ).start()
        while True:
            screen.draw(seen.lines(*screen.size, late_after_s))
            if screen.wait(min(1.0, late_after_s)) is Wake.QUIT:
                break
    seen.is_over.set()
