"""A bug of a run, what the cluster says of it, and the line of results.jsonl that this makes."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fixwurx_celery.cli.results import NO_VERDICT
from fixwurx_celery.cli.sources import Packed
from fixwurx_celery.cluster import Connection
from fixwurx_celery.domain.bugs import TERMINAL, Bug, BugState, Outcome, terminal_state
from fixwurx_celery.errors import FixwurxError
from fixwurx_celery.store import BugRecord

__all__ = ["Item", "check_cluster", "is_answer", "is_same", "line_of", "other_id"]


@dataclass(slots=True)
class Item:
    """One bug of the run: its id in the manifest, and the one under which the cluster has it."""

    packed: Packed
    bug: Bug
    logs_before: int = 0
    is_submitted: bool = False
    line: Mapping[str, Any] | None = None
    is_withdrawn: bool = False
    waits_since: float = field(default_factory=time.monotonic)
    """Or waited: of one that runs, its last stay in line."""

    @property
    def id(self) -> str:
        """The id in the manifest."""
        return self.packed.bug.id


def is_same(record: BugRecord, bug: Bug) -> bool:
    """Whether the cluster was asked the same under this id. Limits change no answer; but what has
    none and is done again must be done within those of now."""
    payload = json.loads(json.dumps(bug.payload))
    asked: bool = record.spec.get("payload") == payload and record.spec.get("agents") == bug.agents
    is_repeated = record.state in TERMINAL and not is_answer(record)
    if is_repeated and _bounds(bug) != [
        record.spec.get("timeout_s"),
        record.spec.get("limits", {}),
    ]:
        return False
    return asked and sorted(record.spec.get("requires", [])) == sorted(bug.requires)


def other_id(item: Packed) -> str:
    """An id for the bug where its own stands for another question: the same one every time."""
    asked = json.dumps([item.input, *_bounds(item.bug)], sort_keys=True)
    return f"{item.bug.id[:119]}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"


def _bounds(bug: Bug) -> list[Any]:
    return [bug.timeout_s, dict(bug.limits)]


def is_answer(record: BugRecord) -> bool:
    """Whether the record is of a bug that need not be done again."""
    return record.state in TERMINAL and terminal_state(record.outcome) is BugState.DONE


def line_of(item: Item, record: BugRecord, patch: str | None) -> dict[str, Any]:
    """The line of results.jsonl."""
    outcome = record.outcome if isinstance(record.outcome, Mapping) else {}
    verdict = outcome.get("outcome")
    is_ours = verdict in Outcome.__members__
    took_ms = None
    if record.started_ms and record.finished_ms:
        took_ms = record.finished_ms - record.started_ms
    line: dict[str, Any] = {
        "id": item.id,
        "outcome": str(verdict) if is_ours else NO_VERDICT,
        "patch": f"{item.id}.patch" if patch is not None else None,
        "node": record.worker_id or last_node(record),
        "attempts": record.runs,
        "seconds": None if took_ms is None else round(took_ms / 1000, 3),
        "clocks": {str(clock): ms / 1000 for clock, ms in record.counted.items()},
        "reason": str(outcome.get("reason") or outcome.get("summary") or ""),
        "input": item.packed.input,
    }
    if outcome.get("edit"):
        line["edit"] = str(outcome["edit"])
    if not is_ours:
        line["result"] = record.outcome
    return line


def last_node(record: BugRecord) -> str | None:
    """The node of the last attempt that came to grief."""
    return str(record.history[-1].get("node") or "") or None if record.history else None


def check_cluster(connection: Connection, packed: Sequence[Packed]) -> list[str]:
    """What to warn about before the bugs are handed to a running cluster.

    Raises FixwurxError for what it would refuse.
    """
    nodes = connection.store.snapshot().live
    specs = connection.settings.launchable
    largest = max(
        [
            connection.settings.total_agents,
            *(node.total_agents for node in nodes),
            *(spec.agents for spec in specs),
        ]
    )
    offered = frozenset().union(
        *(node.capabilities for node in nodes), *(spec.capabilities for spec in specs)
    )
    too_large = [each.bug for each in packed if each.bug.agents > largest]
    if too_large:
        raise FixwurxError(
            f"bug {too_large[0].id} needs {too_large[0].agents} agents at once and the largest "
            f"node has {largest}; lower `agents`, or start a larger node"
        )
    warnings = [] if nodes or specs else ["no node is in service; the bugs wait until one is"]
    for label in sorted({label for each in packed for label in each.bug.requires - offered}):
        whose = next(each.bug.id for each in packed if label in each.bug.requires)
        if nodes or specs:
            warnings.append(f"no node offers {label} now; bug {whose} waits until one does")
    return warnings
