"""`bug logs`: what a bug's runs printed, also of one whose node is gone, and as it is printed."""

import re
import sys
from typing import Final, Protocol

import click

from fixwurx_celery.cli.connection import cluster, patiently
from fixwurx_celery.cli.names import known_bug
from fixwurx_celery.cli.options import examples, json_option, option
from fixwurx_celery.cli.output import pause
from fixwurx_celery.cli.table import json_text, print_json, verdict
from fixwurx_celery.domain.bugs import TERMINAL, BugState
from fixwurx_celery.domain.words import clean, clean_lines
from fixwurx_celery.errors import FixwurxError
from fixwurx_celery.store import BugRecord, ClusterStore

__all__ = ["Follower", "logs", "unseen"]

LOOK_EVERY_S: Final = 0.5
CUT_OFF = re.compile(r"(?:\x1b(?:\[[0-9;:?]{0,32})?|\r)\Z")
"""The beginning of what the next piece goes on with: a code of a colour, or a line end."""


@click.command(
    epilog=examples("bug logs BUG-123", "bug logs BUG-123 --attempt 1", "bug logs -f BUG-123")
)
@click.argument("bug_id", metavar="ID")
@option(
    "--attempt", env="LOGS_ATTEMPT", type=click.IntRange(min=1),
    help="Which run of the bug, from 1 on; the last one when not given.",
)  # fmt: skip
@option(
    "--follow", "-f", env="LOGS_FOLLOW", is_flag=True,
    help="Go on until the bug, or the run of --attempt, has ended, whatever node it runs on.",
)  # fmt: skip
@json_option
def logs(bug_id: str, attempt: int | None, follow: bool, as_json: bool) -> None:
    """Prints what a run of a bug printed: its last megabyte, at most two seconds old.

    Logs are kept in the store, so they can be read while the bug runs and after its node died. On a
    terminal nothing in them can move the cursor; elsewhere they are as they were printed. With
    --follow and --json, a line of JSON for every piece.
    """
    with cluster() as connection:
        store = connection.store
        record = known_bug(store, bug_id)
        if attempt is not None and attempt > record.runs and not follow:
            raise FixwurxError(
                f"bug {bug_id} has no run {attempt}: it ran "
                + (f"{record.runs} times" if record.runs != 1 else "once")
            )
        if follow:
            Follower(store, record, attempt, JsonPieces() if as_json else Pieces()).follow()
            return
        run = attempt or record.runs
        text = store.log(bug_id, run) if run else ""
    if as_json:
        print_json({"id": bug_id, "attempt": run, "node": node_of(record, run), "text": text})
        return
    pieces = Pieces()
    if record.runs > 1:
        pieces.words(f"{heading(record, run)} (of {record.runs}; --attempt has the others):")
    pieces.write(record, run, text)
    pieces.end_line()
    if not run:
        never = "never started" if record.state in TERMINAL else "has not started yet"
        pieces.words(f"bug {bug_id} {never}: it is {record.state}")
    elif not text:
        pieces.words(f"run {run} of bug {bug_id} printed nothing")


class Output(Protocol):
    """Where pieces of a log go, and words about them."""

    def write(self, record: BugRecord, run: int, piece: str) -> None:
        """What this run has printed since the last piece."""

    def words(self, text: str) -> None:
        """A line that is not of the log."""


class Pieces:
    """The log on stdout, words on stderr. On a terminal both are seen, so each begins a line."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._held, self._is_in_line = "", False

    def write(self, _record: BugRecord, _run: int, piece: str) -> None:
        """See Output."""
        if self._is_terminal:
            text = self._held + piece
            cut = CUT_OFF.search(text)
            self._held = cut.group() if cut else ""
            piece = clean_lines(text[: cut.start()] if cut else text)
        if piece:
            sys.stdout.write(piece)  # not click's echo, which takes codes out of what it is given
            sys.stdout.flush()
            self._is_in_line = not piece.endswith("\n")

    def words(self, text: str) -> None:
        """See Output."""
        if self._is_terminal:
            self.end_line()
        click.echo(clean(text), err=True)

    def end_line(self) -> None:
        """What follows begins a line."""
        if self._is_in_line:
            click.echo()
        self._held, self._is_in_line = "", False


class JsonPieces:
    """Each piece as a line of JSON on stdout, words on stderr."""

    def write(self, record: BugRecord, run: int, piece: str) -> None:
        """See Output."""
        node = node_of(record, run)
        click.echo(json_text({"id": record.id, "attempt": run, "node": node, "text": piece}))

    def words(self, text: str) -> None:
        """See Output."""
        click.echo(clean(text), err=True)


class Follower:
    """Prints what a bug prints, run after run, until it (or that one run) has ended."""

    def __init__(
        self, store: ClusterStore, record: BugRecord, attempt: int | None, output: Output
    ) -> None:
        self._store, self._record, self._only, self._output = store, record, attempt, output
        self._run = attempt or max(1, record.runs)
        self._seen = ""
        self._last_look: tuple[object, ...] = ()
        self._announced = 0
        self._waits_in = ""

    def follow(self) -> None:
        """Returns at the end. Rides out a store that is away for a while."""
        while True:
            self._look()
            record = self._record
            if record.runs > self._run and self._only is None:
                self._run, self._seen = self._run + 1, ""
            elif record.state in TERMINAL or record.runs > self._run:
                break
            else:
                self._say_what_is_waited_for()
                pause(LOOK_EVERY_S)
        if record.runs < self._run:
            self._output.words(f"bug {record.id} has no run {self._run}")
        if record.state in TERMINAL:
            how = verdict(record.outcome) or record.state
            self._output.words(f"bug {record.id}: {how}")

    def _look(self) -> None:
        """Prints what is new of the present run."""
        # The record first: what is printed before the end is then in the log that follows.
        record = self._record = patiently(lambda: self._store.bug(self._record.id))
        if record.runs < self._run:
            return
        if self._announced < self._run:
            self._announced, self._waits_in = self._run, ""
            self._output.words(f"{heading(record, self._run)}:")
        look = (self._run, record.runs, record.state, record.printed_ms)
        if look == self._last_look:  # nothing was printed since
            return
        text = patiently(lambda: self._store.log(record.id, self._run))
        if piece := unseen(self._seen, text):
            self._output.write(record, self._run, piece)
        self._seen, self._last_look = text, look

    def _say_what_is_waited_for(self) -> None:
        record = self._record
        if record.state is BugState.RUNNING or record.state == self._waits_in:
            return
        waits = f"bug {record.id} waits: it is {record.state}"
        if record.state is BugState.ASSIGNED:
            waits += f" to {record.worker_id}"
        if record.runs and not self._waits_in:
            why = str(record.history[-1].get("reason")) if record.history else "it was given back"
            waits = f"run {record.runs} is over ({why}); {waits}"
        self._waits_in = str(record.state)
        self._output.words(waits)


def heading(record: BugRecord, run: int) -> str:
    """Which run, and where."""
    node = node_of(record, run)
    return f"run {run} of bug {record.id}" + (f", on {node}" if node else "")


def node_of(record: BugRecord, run: int) -> str | None:
    """The node of that run of the bug, where it is known."""
    return record.ran_on[run - 1] if 0 < run <= len(record.ran_on) else None


def unseen(seen: str, text: str) -> str:
    """What of `text` comes after `seen`, of which the store may have dropped the beginning."""
    if text.startswith(seen):
        return text[len(seen) :]
    tail = seen[-2000:]
    at = text.rfind(tail)
    return text[at + len(tail) :] if at >= 0 else text
