"""`doctor`: looks at a live cluster, and says what is wrong and what to do."""

import os
import time
from collections.abc import Iterator
from typing import Final

import click

from fixwurx_celery.addresses import is_sentinel
from fixwurx_celery.broker import make_app
from fixwurx_celery.cli.advice import about_violation
from fixwurx_celery.cli.config import warnings
from fixwurx_celery.cli.connection import answered, reach, reach_broker, settings_here
from fixwurx_celery.cli.findings import (
    Finding,
    about_broker,
    about_clock,
    about_controller,
    about_nodes,
    about_scaling,
    about_waiting,
    ok,
)
from fixwurx_celery.cli.options import examples, json_option
from fixwurx_celery.cli.server_findings import about_replicas, about_server
from fixwurx_celery.cli.table import lines_of, print_json
from fixwurx_celery.cli.terminal import styled_word
from fixwurx_celery.cluster import Connection
from fixwurx_celery.domain.words import clean
from fixwurx_celery.errors import ConfigurationError, FixwurxError, StoreUnavailable
from fixwurx_celery.settings import Settings, without_password
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.health import HEALTH_CHECK
from fixwurx_celery.store.invariants import violations
from fixwurx_celery.store.scaling_state import ScalingState

__all__ = ["doctor"]

SLOW_MS: Final = 50
SETTLE_S: Final = 2.0
"""What changes may be untrue for an instant; it is looked at again for so long."""
PING_S: Final = 1.5
"""Nodes that have not answered over the broker after this time are taken for deaf."""


@click.command(epilog=examples("doctor", "doctor --json | jq '.[] | select(.level != \"OK\")'"))
@json_option
def doctor(as_json: bool) -> int:
    """Says what is wrong with the cluster, and what to do.

    Looks at the store, the broker, clocks, nodes, the health check, scaling, bugs that wait for
    what no node has, at what must hold at every instant, and whether the event log tells of a time
    when it did not. Changes nothing.

    Exit status 0 when nothing fails (warnings are no failure), 4 when something does, 3 when the
    store cannot be reached.
    """
    findings, status = [], 0
    for finding in guarded(examined(settings_here())):
        findings.append(finding)
        if finding.level == "FAIL":
            status = 3 if finding.what == "store" else status or 4
        if not as_json:
            print_finding(finding)
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        counts = {level: sum(f.level == level for f in findings) for level in ("WARN", "FAIL")}
        click.echo(
            f"{len(findings)} looked at: {counts['WARN']} to know of, {counts['FAIL']} to act on",
            err=True,
        )
    return status


def guarded(findings: Iterator[Finding]) -> Iterator[Finding]:
    """The findings; what makes an examination impossible is one as well."""
    try:
        yield from findings
    except ConfigurationError:
        raise
    except Exception as error:  # a server that answers anything but what it should
        yield Finding(
            what="examination", level="FAIL", found=f"it ended early: {error}",
            advice="look at the server's log, and at what its user may do (ACL)",
        )  # fmt: skip


def print_finding(finding: Finding) -> None:
    """`OK  what: found`, and below it what to do."""
    first, *more = lines_of(clean(f"{finding.what}: {finding.found}"), 6)
    click.echo(f"{styled_word(f'{finding.level:<4}')}  {first}")
    for line in more:
        click.echo(f"      {line}")
    if finding.advice:
        for number, line in enumerate(lines_of(clean(finding.advice), 9)):
            click.echo(f"      {'   ' if number else '-> '}{line}")


def examined(settings: Settings) -> Iterator[Finding]:
    """Finding after finding; ends early when the store cannot be reached."""
    for warning in warnings(os.environ):
        yield Finding(
            what="configuration", level="WARN", found=warning,
            advice="unset it, unless it is your engine's",
        )  # fmt: skip
    with Connection(settings) as connection:
        try:
            reach(connection)
        except StoreUnavailable as error:
            yield Finding(
                what="store", level="FAIL", found=str(error),
                advice="nothing else could be examined",
            )  # fmt: skip
            return
        store = connection.store
        info = store.ping()
        server = about_server(info)
        yield from server
        if any(finding.what == "store mode" and finding.level == "FAIL" for finding in server):
            return
        if is_sentinel(settings.redis_url):
            yield about_replicas(info)
        yield about_way(connection)
        before_ms = time.time() * 1000
        snapshot = store.snapshot()
        yield about_clock((before_ms + time.time() * 1000) / 2, snapshot.now_ms)
        broker = about_broker(settings, trouble_with_broker(settings))
        yield broker
        answering = None if broker.level == "FAIL" else nodes_answering(settings)
        yield from about_nodes(snapshot, settings, answering)
        yield about_controller(
            last_check_ms(store), snapshot.now_ms, settings.health_check_interval_sec
        )
        last = next(iter(ScalingState(store).decisions(1)), None)
        yield from about_scaling(last, snapshot.now_ms, settings)
        yield from about_waiting(snapshot, settings.max_waiting, settings.launchable)
        yield from about_invariants(store, settings)


def about_way(connection: Connection) -> Finding:
    """How long a question takes to the store and back."""
    took_ms = []
    for _ in range(5):
        began = time.perf_counter()
        connection.store.strategy()
        took_ms.append((time.perf_counter() - began) * 1000)
    median_ms = sorted(took_ms)[2]
    url = without_password(connection.settings.redis_url)
    found = f"{url}, namespace {connection.settings.namespace}, answers in {median_ms:.1f} ms"
    if median_ms > SLOW_MS:
        return Finding(
            what="store", level="WARN", found=found,
            advice="each bug costs four such ways; bring the store nearer to the nodes",
        )  # fmt: skip
    return Finding(what="store", level="OK", found=found)


def trouble_with_broker(settings: Settings) -> str:
    """Why the broker cannot be reached; empty when it can."""
    try:
        reach_broker(settings)
    except FixwurxError as error:
        return str(error)
    return ""


def nodes_answering(settings: Settings) -> frozenset[str] | None:
    """The workers that answer a ping over the broker; None when it could not be asked."""
    replies: list[str] = []

    def ask() -> None:
        for reply in make_app(settings).control.ping(timeout=PING_S):
            replies.extend(reply)

    try:
        return frozenset(replies) if answered(ask) else None
    except Exception:  # the finding on the broker says what is wrong with it
        return None


def last_check_ms(store: ClusterStore) -> int | None:
    """When somebody last checked the store's health, by its clock; None when none did for long."""
    at_ms = store.client.hget(f"{store.prefix}tick:{HEALTH_CHECK}", "at_ms")
    return int(str(at_ms)) if at_ms else None


def about_invariants(store: ClusterStore, settings: Settings) -> Iterator[Finding]:
    """What must hold at every instant, checked on the live cluster, and what its event log says."""
    broken = violations(store, patience_s=SETTLE_S)
    for violation in broken:
        yield about_violation(violation, settings)
    if not broken:
        yield ok("invariants", "all hold, and so did they as far back as the event log was read")
