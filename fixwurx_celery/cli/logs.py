"""`bug logs`: what a bug's runs printed, also of one whose node is gone, and as it is printed."""

import json
import time
from typing import Final

import click

from fixwurx_celery.cli.connection import cluster, patiently
from fixwurx_celery.cli.names import known_bug
from fixwurx_celery.cli.options import examples, json_option, option
from fixwurx_celery.cli.table import harmless, print_json, verdict
from fixwurx_celery.domain.bugs import TERMINAL
from fixwurx_celery.errors import FixwurxError
from fixwurx_celery.store import BugRecord, ClusterStore

__all__ = ["logs", "unseen"]

LOOK_EVERY_S: Final = 0.5


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
    help="Go on until the bug, or the run of --attempt, has ended.",
)  # fmt: skip
@json_option
def logs(bug_id: str, attempt: int | None, follow: bool, as_json: bool) -> None:
    """Prints what a run of a bug printed: its last megabyte, at most two seconds old.

    Logs are kept in the store, so they can be read while the bug runs and after its node died.
    With --follow and --json, a line of JSON for every piece.
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
            follow_log(store, record, attempt, as_json)
            return
        run = attempt or record.runs
        text = store.log(bug_id, run) if run else ""
    if as_json:
        print_json({"id": bug_id, "attempt": run, "text": text})
        return
    click.echo(harmless(text), nl=bool(text) and not text.endswith("\n"))
    if not run:
        never = "never started" if record.state in TERMINAL else "has not started yet"
        click.echo(f"bug {bug_id} {never}: it is {record.state}", err=True)
    elif not text:
        click.echo(f"run {run} of bug {bug_id} printed nothing", err=True)


def follow_log(store: ClusterStore, record: BugRecord, attempt: int | None, as_json: bool) -> None:
    """Prints what comes, run after run, until the bug (or that one run) has ended."""
    run, seen = attempt or max(1, record.runs), ""
    if not record.runs and record.state not in TERMINAL:
        click.echo(f"bug {record.id} has not started yet: it is {record.state}", err=True)

    def look() -> tuple[BugRecord, str]:
        # The record first: what is printed before the end is then in the log that follows.
        return store.bug(record.id), store.log(record.id, run)

    while True:
        record, text = patiently(look)
        if piece := unseen(seen, text):
            if as_json:
                click.echo(json.dumps({"id": record.id, "attempt": run, "text": piece}))
            else:
                click.echo(harmless(piece), nl=False)
            seen = text
        if record.runs > run and attempt is None:
            run, seen = run + 1, ""
            click.echo(f"run {run} of bug {record.id}, on {record.worker_id}:", err=True)
        elif record.state in TERMINAL or record.runs > run:
            break
        else:
            time.sleep(LOOK_EVERY_S)
    if record.state in TERMINAL:
        click.echo(f"bug {record.id}: {verdict(record.outcome) or record.state}", err=True)


def unseen(seen: str, text: str) -> str:
    """What of `text` comes after `seen`, of which the store may have dropped the beginning."""
    if text.startswith(seen):
        return text[len(seen) :]
    tail = seen[-2000:]
    at = text.rfind(tail)
    return text[at + len(tail) :] if at >= 0 else text
