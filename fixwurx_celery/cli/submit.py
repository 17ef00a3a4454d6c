"""`submit`: hands the bugs of a manifest to a cluster that runs already."""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Any, Final

import click

from fixwurx_celery.artifacts import open_artifacts
from fixwurx_celery.cli.bug import exit_status
from fixwurx_celery.cli.connection import cluster, patiently, settings_here
from fixwurx_celery.cli.findings import bugs as counted
from fixwurx_celery.cli.findings import unservable
from fixwurx_celery.cli.manifest import load_manifest
from fixwurx_celery.cli.options import examples, json_option, option
from fixwurx_celery.cli.sources import Packed, pack_sources
from fixwurx_celery.cli.table import Column, age, print_json, print_table, verdict
from fixwurx_celery.cluster import Connection
from fixwurx_celery.cluster.connection import refusal
from fixwurx_celery.cluster.handle import as_completed
from fixwurx_celery.domain.bugs import TERMINAL, Bug, BugState, Outcome
from fixwurx_celery.errors import BugUnknown, StoreUnavailable
from fixwurx_celery.store import BugRecord, Submission

__all__ = ["submit"]

REFUSED: Final = "REFUSED"
SUBMITTED_BEFORE: Final = "it was submitted before"


@click.command(
    epilog=examples(
        "submit bugs.yaml",
        "submit bugs.yaml --wait --timeout 3600",
        "submit - --json < bugs.jsonl",
    )
)
@click.argument("manifest", metavar="MANIFEST")
@option("--wait", env="SUBMIT_WAIT", is_flag=True, help="Wait until all of the bugs have ended.")
@option(
    "--timeout", env="SUBMIT_TIMEOUT", type=click.FloatRange(min=0, min_open=True),
    help="With --wait: seconds after which no longer is waited; the bugs go on.",
)  # fmt: skip
@json_option
def submit(manifest: str, wait: bool, timeout: float | None, as_json: bool) -> int:
    """Hands the bugs of MANIFEST to a running cluster.

    The cluster is that of FIXWURX_REDIS_URL, or of your running `up`. MANIFEST is YAML or JSON
    Lines, `-` for standard input; it is checked whole before anything is
    submitted. Bugs are known by their ids, so to submit twice is harmless: `bug retry` runs one
    again.

    Exit status 4 when some bugs were refused, or, with --wait, not fixed.
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout says how long to --wait: give both, or neither")
    settings = settings_here()
    packed = list(pack_sources(load_manifest(manifest, engine=settings.engine), settings.engine))
    with cluster(settings) as connection:
        bugs, submissions = hand_over(connection, packed)
        results = [taken(bug, answer) for bug, answer in zip(bugs, submissions, strict=True)]
        look_up_the_known(connection, results, submissions)
        warn_of_the_unservable(connection, bugs, submissions)
        if wait:
            wait_for(connection, packed, results, timeout)
    if as_json:
        print_json(results)
    else:
        print_results(results, "outcome" if wait else "reason")
    if not wait:
        return exit_status([result["state"] != REFUSED for result in results])
    fixed = [is_fixed(result) for result in results]
    return 0 if all(fixed) else 4


def hand_over(
    connection: Connection, packed: Sequence[Packed]
) -> tuple[list[Bug], list[Submission]]:
    """The bugs as they were submitted, their sources put before them; and what became of each."""
    put = cache(open_artifacts(connection.settings).put)  # bugs of one folder share its bytes
    bugs = [bug.kept(put) for bug in packed]
    return bugs, connection.submit(bugs)


def taken(bug: Bug, submission: Submission) -> dict[str, Any]:
    """What became of one bug, in the keys that `submit --json` keeps."""
    result: dict[str, Any] = {
        "id": bug.id,
        "state": submission.status,
        "worker_id": None,
        "reason": "",
        "outcome": None,
    }
    if error := refusal(bug, submission):
        return {**result, "state": REFUSED, "reason": str(error)}
    if submission.status == "ASSIGNED":
        return {**result, "worker_id": submission.detail}
    if submission.status == "KNOWN":
        return {**result, "state": submission.detail, "reason": SUBMITTED_BEFORE}
    return result


def look_up_the_known(
    connection: Connection, results: Sequence[dict[str, Any]], submissions: Sequence[Submission]
) -> None:
    """Fills in where those are that had been submitted before."""
    by_id = {
        result["id"]: result
        for result, submission in zip(results, submissions, strict=True)
        if submission.status == "KNOWN"
    }
    for record in connection.store.bugs(list(by_id)):
        by_id[record.id].update(seen(record))
        again = f"; `bug retry {record.id}` runs it again" if record.state in TERMINAL else ""
        by_id[record.id]["reason"] = f"{SUBMITTED_BEFORE}{again}"


def warn_of_the_unservable(
    connection: Connection, bugs: Sequence[Bug], submissions: Sequence[Submission]
) -> None:
    """Says of which waiting bugs no node that is there could ever take one."""
    waiting = Counter(
        bug.bug_class
        for bug, submission in zip(bugs, submissions, strict=True)
        if submission.status == "PENDING"
    )
    if not waiting:
        return
    live = connection.store.snapshot().live
    if not live:
        click.echo("the bugs wait: no node is in service", err=True)
    for bug_class, count in waiting.items():
        if trouble := unservable(bug_class, live):
            click.echo(f"{counted(count)} cannot start on any node: {trouble}", err=True)


def wait_for(
    connection: Connection,
    packed: Sequence[Packed],
    results: list[dict[str, Any]],
    timeout_s: float | None,
) -> None:
    """Waits until all that were taken have ended or time is over, and fills in how they ended.

    What a store that failed over has lost is submitted again. Ctrl-C ends the waiting only, and
    says so.
    """
    by_id = {result["id"]: result for result in results if result["state"] != REFUSED}
    began = time.monotonic()
    open_ids = dict.fromkeys(by_id)
    try:
        while open_ids:
            passed_s = time.monotonic() - began
            left_s = None if timeout_s is None else max(0.0, timeout_s - passed_s)
            try:
                for record in as_completed(connection, open_ids, timeout=left_s):
                    by_id[record.id].update(seen(record))
                    del open_ids[record.id]
                    tell_end(record, len(by_id) - len(open_ids), len(by_id), began)
            except StoreUnavailable:
                patiently(connection.store.last_event_id)
            except BugUnknown:
                for bug, answer in patiently(lambda: submit_lost(connection, packed, open_ids)):
                    by_id[bug.id].update(taken(bug, answer))
                    if refusal(bug, answer):
                        del open_ids[bug.id]
            else:
                if open_ids:
                    click.echo(
                        f"{len(open_ids)} of {len(by_id)} bugs had not ended after {timeout_s:g} s;"
                        " they go on: see `fixwurx-celery bug list`",
                        err=True,
                    )
                    for record in patiently(lambda: connection.store.bugs(list(open_ids))):
                        by_id[record.id].update(seen(record))
                    return
    except KeyboardInterrupt:
        click.echo(
            f"{len(open_ids)} bugs go on without you: see `fixwurx-celery bug list`, and "
            "`fixwurx-celery bug cancel ID...` to end them",
            err=True,
        )
        raise


def submit_lost(
    connection: Connection, packed: Sequence[Packed], open_ids: Collection[str]
) -> list[tuple[Bug, Submission]]:
    """Submits those again that the store does not know any more; what became of each."""
    known = {record.id for record in connection.store.bugs(list(open_ids))}
    lost = [each for each in packed if each.bug.id in open_ids and each.bug.id not in known]
    if not lost:
        return []
    click.echo(f"the store has lost {counted(len(lost))}: submitted again", err=True)
    return list(zip(*hand_over(connection, lost), strict=True))


def tell_end(record: BugRecord, done: int, total: int, began: float) -> None:
    """A line about a bug that has ended, to stderr."""
    passed = age((time.monotonic() - began) * 1000)
    click.echo(f"[{done}/{total}] {passed}  {record.id}  {verdict(record.outcome)}", err=True)


def seen(record: BugRecord) -> dict[str, Any]:
    """What a waiting submitter learns of a bug."""
    return {
        "state": str(record.state),
        "worker_id": record.worker_id,
        "reason": "",
        "outcome": record.outcome,
    }


def is_fixed(result: dict[str, Any]) -> bool:
    """Whether it is done; an engine of the user's may call its outcomes what it likes."""
    outcome = result["outcome"]
    named = outcome.get("outcome") if isinstance(outcome, dict) else None
    return result["state"] == BugState.DONE and named in (None, Outcome.FIXED)


def print_results(results: Iterable[dict[str, Any]], last: str) -> None:
    """The table of what became of each."""
    columns = [
        Column(title="id", is_flexible=True),
        Column(title="state"),
        Column(title="node", is_flexible=True, is_optional=True),
        Column(title=last, is_flexible=True),
    ]
    rows = []
    for result in results:
        ended = last == "outcome" and result["outcome"] is not None
        about = verdict(result["outcome"]) if ended else result["reason"]
        rows.append((result["id"], result["state"], result["worker_id"] or "", about))
    print_table(columns, rows)
