"""`bug list|show|cancel|retry|prioritise|logs|patch`: what became of each bug."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import click

from fixwurx_celery.cli.connection import cluster
from fixwurx_celery.cli.listing import listed
from fixwurx_celery.cli.logs import logs
from fixwurx_celery.cli.names import known_bug, unknown_bug
from fixwurx_celery.cli.options import NameOf, examples, json_option, option
from fixwurx_celery.cli.table import (
    Column,
    age,
    print_fields,
    print_json,
    print_table,
    verdict,
)
from fixwurx_celery.cluster import Connection
from fixwurx_celery.cluster.patch import patch_of
from fixwurx_celery.domain.bugs import MAX_PRIORITY, TERMINAL, Assignment, BugState
from fixwurx_celery.domain.clocks import BugClock
from fixwurx_celery.domain.words import clean_lines
from fixwurx_celery.errors import BugUnknown, FixwurxError
from fixwurx_celery.store import BugRecord, ClusterStore

__all__ = ["bug", "exit_status"]

LIST: Final = [
    Column(title="id", is_flexible=True),
    Column(title="state"),
    Column(title="node", is_flexible=True, is_optional=True),
    Column(title="phase", is_optional=True),
    Column(title="runs", is_right=True, is_optional=True),
    Column(title="time", is_right=True, is_optional=True),
    Column(title="outcome", is_flexible=True),
]


@click.group()
def bug() -> None:
    """Bugs: list, show, cancel, retry, prioritise, logs, patch."""


bug.add_command(logs)


@bug.command(
    "list",
    epilog=examples(
        "bug list", "bug list --state RUNNING", "bug list --state ESCALATED --json | jq -r '.[].id'"
    ),
)
@option(
    "--state", "states", env="BUG_STATE", multiple=True,
    type=NameOf(BugState, "state"), metavar="STATE",
    help=f"Only bugs in this state ({', '.join(BugState)}); may be given more than once.",
)  # fmt: skip
@option(
    "--limit", env="BUG_LIMIT", type=click.IntRange(min=1), default=100, show_default=True,
    help="So many at most.",
)  # fmt: skip
@json_option
def list_(states: Sequence[BugState], limit: int, as_json: bool) -> None:
    """Lists bugs: those on nodes, then those in line, then the ended ones, the newest first.

    TIME is how long the bug has been in its state; of one that ended, how long it ran.
    """
    wanted = frozenset(states)
    with cluster() as connection:
        snapshot = connection.store.snapshot()
        records = listed(connection.store, snapshot, wanted, limit)
    if as_json:
        print_json([record.as_dict(snapshot.now_ms) for record in records])
        return
    print_table(
        LIST,
        [
            (
                record.id,
                record.state,
                record.worker_id or "",
                record.phase,
                record.runs,
                age(time_of(record, snapshot.now_ms)),
                verdict(record.outcome),
            )
            for record in records
        ],
    )
    held = sum(len(node.bugs) for node in snapshot.nodes)
    total = held + snapshot.waiting + snapshot.finished
    if not records:
        click.echo("no such bug" if wanted and total else "no bugs", err=True)
    elif len(records) == limit and (wanted or total > limit):
        of = "" if wanted else f" of {total}"
        click.echo(f"only the first {limit}{of} are shown; --limit shows more", err=True)


@bug.command(epilog=examples("bug show BUG-123", "bug show BUG-123 --json"))
@click.argument("bug_id", metavar="ID")
@json_option
def show(bug_id: str, as_json: bool) -> None:
    """Shows all that is known of a bug."""
    with cluster() as connection:
        record = known_bug(connection.store, bug_id)
        now_ms = connection.store.snapshot(most_nodes=0).now_ms
    if as_json:
        print_json({**record.as_dict(now_ms), "spec": record.spec})
        return
    print_fields(described(record, now_ms))


@bug.command(epilog=examples("bug cancel BUG-123", "bug cancel BUG-123 BUG-124"))
@click.argument("bug_ids", metavar="ID...", nargs=-1, required=True)
@json_option
def cancel(bug_ids: Sequence[str], as_json: bool) -> int:
    """Cancels bugs: those in line end at once, those that run are killed with all they started."""

    def cancelled(store: ClusterStore, bug_id: str) -> tuple[str, list[Assignment], bool]:
        answer, assignments = store.cancel(bug_id)
        return answer, assignments, answer in ("CANCELLED", "CANCELLING", "RELEASED")

    words = {
        "CANCELLED": "it ends as cancelled",
        "CANCELLING": "it runs, and is being killed",
        "RELEASED": "it was a reservation; its agents are free",
    }
    return each(bug_ids, cancelled, words, "it had ended before", as_json)


@bug.command(epilog=examples("bug retry BUG-123"))
@click.argument("bug_ids", metavar="ID...", nargs=-1, required=True)
@json_option
def retry(bug_ids: Sequence[str], as_json: bool) -> int:
    """Runs bugs again that have ended, as they were submitted. Their outcome is forgotten."""

    def retried(store: ClusterStore, bug_id: str) -> tuple[str, list[Assignment], bool]:
        answer, assignments = store.retry(bug_id)
        return answer, assignments, answer == "PENDING"

    words = {"PENDING": "it runs again as soon as there is room"}
    return each(bug_ids, retried, words, "it has not ended; cancel it first", as_json)


@bug.command(epilog=examples("bug prioritise 10 BUG-123", "bug prioritise -- -5 BUG-124"))
@click.argument("priority", type=click.IntRange(-MAX_PRIORITY, MAX_PRIORITY))
@click.argument("bug_ids", metavar="ID...", nargs=-1, required=True)
@json_option
def prioritise(priority: int, bug_ids: Sequence[str], as_json: bool) -> int:
    """Gives bugs this priority: the higher, the sooner they run."""

    def prioritised(store: ClusterStore, bug_id: str) -> tuple[str, list[Assignment], bool]:
        state = store.prioritise({bug_id: priority}).get(bug_id)
        return state or store.bug(bug_id).state, [], state is not None

    later = "it would count if the bug came to wait again"
    words = {str(state): later for state in BugState} | {
        BugState.PENDING: "it has its new place in line"
    }
    refused = "it waits for nothing: it has ended, or is a reservation"
    return each(bug_ids, prioritised, words, refused, as_json)


@bug.command(epilog=examples("bug patch BUG-123 | git apply", "bug patch BUG-123 > BUG-123.patch"))
@click.argument("bug_id", metavar="ID")
@json_option
def patch(bug_id: str, as_json: bool) -> None:
    """Prints the patch that fixes a bug, as `git apply` takes it."""
    with cluster() as connection:
        content = known_patch(connection, known_bug(connection.store, bug_id))
    if as_json:
        print_json({"id": bug_id, "patch": content.decode("utf-8", "replace")})
    elif sys.stdout.isatty():
        click.echo(clean_lines(content.decode("utf-8", "replace")))
    else:
        click.echo(content, nl=not content.endswith(b"\n"))


def each(
    bug_ids: Sequence[str],
    act: Callable[[ClusterStore, str], tuple[str, list[Assignment], bool]],
    words: Mapping[str, str],
    refused: str,
    as_json: bool,
) -> int:
    """Does it to every bug, says what came of each, and answers the exit status."""
    results: list[dict[str, Any]] = []
    with cluster() as connection:
        for bug_id in dict.fromkeys(bug_ids):
            try:
                answer, assignments, is_done = act(connection.store, bug_id)
            except BugUnknown as error:
                answer, assignments, is_done = "UNKNOWN", [], False
                reason = str(unknown_bug(connection.store, error))
            else:
                reason = words[answer] if is_done else refused
            connection.ring(assignments)
            results.append({"id": bug_id, "done": is_done, "state": answer, "reason": reason})
    if as_json:
        print_json(results)
    else:
        columns = [
            Column(title="id", is_flexible=True),
            Column(title="state"),
            Column(title="reason", is_flexible=True),
        ]
        print_table(columns, [(r["id"], r["state"], r["reason"]) for r in results])
    return exit_status([r["done"] for r in results])


def exit_status(done: Sequence[bool]) -> int:
    """0 when all were done, 1 when none, 4 when some."""
    if all(done):
        return 0
    return 4 if any(done) else 1


def time_of(record: BugRecord, now_ms: int) -> int | None:
    """How long it has been in its state, in ms; of an ended one, how long its last run took."""
    if record.state in TERMINAL:
        if record.started_ms is None or record.finished_ms is None:
            return None
        return record.finished_ms - record.started_ms
    since = {
        BugState.PENDING: record.waiting_ms,
        BugState.ASSIGNED: record.assigned_ms,
        BugState.RESERVED: record.assigned_ms,
        BugState.RUNNING: record.started_ms,
    }[record.state]
    return None if since is None else now_ms - since


def described(record: BugRecord, now_ms: int) -> list[tuple[str, object]]:
    """The record as `show` prints it: what is not there is not printed."""

    def ago(at_ms: int | None) -> str:
        return "" if at_ms is None else f"{age(now_ms - at_ms)} ago"

    def died(times: int) -> str:
        return f"{times} {'run' if times == 1 else 'runs'} ended by the death of"

    spec, outcome = record.spec, record.outcome
    limits, clocks, silent_ms = (
        spec.get("limits", {}), record.clocks(now_ms), record.silent_ms(now_ms),
    )  # fmt: skip
    state = f"{record.state}, being cancelled" if record.cancelling else str(record.state)
    fields: list[tuple[str, object]] = [
        ("id", record.id),
        ("state", state),
        ("phase", record.phase),
        ("node", record.worker_id or ""),
        ("agents", spec.get("agents", "")),
        ("requires", ", ".join(spec.get("requires", []))),
        ("priority", record.priority),
        ("time limit", f"{spec['timeout_s']:g} s" if "timeout_s" in spec else ""),
        ("limits", told({BugClock(name).word: f"{s:g} s" for name, s in limits.items()})),
        ("in line", ago(record.waiting_ms)),
        ("assigned", ago(record.assigned_ms)),
        ("started", ago(record.started_ms)),
        ("ended", ago(record.finished_ms)),
        ("took", age(time_of(record, now_ms)) if record.state in TERMINAL else ""),
        ("clocks", told({clock.word: age(ms) for clock, ms in clocks.items() if ms})),
        ("last output", "" if silent_ms is None else f"{age(silent_ms)} ago"),
        ("epoch", record.epoch or ""),
        ("runs", record.runs),
        ("attempts", f"{died(record.attempts)} its process" if record.attempts else ""),
        ("losses", f"{died(record.losses)} its node" if record.losses else ""),
    ]
    for entry in record.history:
        when = ago(entry.get("at_ms"))
        fields.append(("history", f"{when}, {entry.get('node')}: {entry.get('reason')}"))
    fields.append(("outcome", verdict(outcome)))
    if isinstance(outcome, dict):
        shown = {"outcome", "reason", "patch", "patch_artifact", "history", "edit"}
        fields += [
            (name.replace("_", " "), told(value))
            for name, value in outcome.items()
            if name not in shown
        ]
        if "edit" in outcome:
            fields.append(("reason", outcome.get("reason", "")))
        if outcome.get("patch") or outcome.get("patch_artifact"):
            fields.append(("patch", f"fixwurx-celery bug patch {record.id}"))
    if record.runs:
        fields.append(("log", f"fixwurx-celery bug logs {record.id}"))
    return [(name, value) for name, value in fields if value != ""]


def told(value: object) -> object:
    """A mapping as `name value, name value`; anything else as it is."""
    if not isinstance(value, dict):
        return value
    return ", ".join(f"{name} {item}" for name, item in value.items())


def known_patch(connection: Connection, record: BugRecord) -> bytes:
    """The patch. Raises FixwurxError that says why there is none."""
    if record.state not in TERMINAL:
        raise FixwurxError(
            f"bug {record.id} has no patch yet: it is {record.state}, phase {record.phase}; "
            f"follow it with `fixwurx-celery bug logs -f {record.id}`"
        )
    if (patch := patch_of(connection.settings, record)) is not None:
        return patch
    raise FixwurxError(
        f"bug {record.id} has no patch: it ended as {verdict(record.outcome) or record.state}"
    )
