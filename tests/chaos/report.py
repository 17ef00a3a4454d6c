"""All that is needed to understand a failed run."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fixwurx_celery.store import ClusterStore
from tests.chaos.checks import Finding, events_of, trace_of
from tests.chaos.client import Client
from tests.chaos.fleet import Fleet
from tests.chaos.nemesis import Nemesis

__all__ = ["report"]

MOST_BUGS = 5
TAIL = 80


def report(
    seed: int,
    found: Sequence[Finding],
    nemesis: Nemesis,
    client: Client,
    store: ClusterStore,
    trace: Path,
    fleet: Fleet,
) -> str:
    """The findings, what was done, and of each bug concerned its events, its runs, its nodes' logs.

    Also written to a file beside the logs, which stay where pytest keeps a failed test's folder.
    """
    lines = [f"seed {seed}: {len(found)} findings; everything is below {fleet.folder.parent}"]
    lines += [f"- {finding.text}" for finding in found]
    lines += ["", "what was done:", *sorted([*nemesis.log, *client.log])]
    nodes: set[str] = set()
    bugs = list(dict.fromkeys(finding.bug for finding in found if finding.bug))[:MOST_BUGS]
    for bug in bugs:
        lines += ["", f"events of {bug}:"]
        for event in events_of(store, bug):
            nodes.add(event.node)
            lines.append(f"  {event.id} {event.action} {event.node} {event.epoch} {event.detail}")
        lines += ["", f"runs of {bug}:", *(f"  {line}" for line in trace_of(trace, bug))]
    for node in sorted(nodes - {""}):
        lines += ["", f"tail of {node}:", *_tail(fleet.folder / f"{node}.log")]
    text = "\n".join(lines)
    (fleet.folder.parent / "report.txt").write_text(text)
    return text


def _tail(log: Path) -> Iterator[str]:
    if log.exists():
        yield from log.read_text(errors="replace").splitlines()[-TAIL:]
