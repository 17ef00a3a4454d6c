"""The store's whole namespace against the model's."""

from typing import Any

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.store.records import COUNTED
from tests.support.model import WAITING, Model, ModelBug

NEVER_MS = 4102444800000
"""The year 2100: of what stays in an index and is not due any more."""


def differences(found: dict[str, Any], model: Model) -> list[str]:
    """What a dump holds otherwise than the model does; one line each."""
    wanted = expected(model)
    seen = observed(found)
    return [
        f"{key}: the store has {seen.get(key)!r}, the model {wanted.get(key)!r}"
        for key in sorted(seen.keys() | wanted.keys())
        if seen.get(key) != wanted.get(key)
    ]


def observed(found: dict[str, Any]) -> dict[str, Any]:
    """The dump, in the model's terms."""
    seen: dict[str, Any] = {}
    for key, value in found.items():
        kind = key.partition(":")[0]
        match kind:
            case "bug":
                seen[key] = _bug(value)
            case "node":
                seen[key] = (
                    value["state"],
                    value["incarnation"],
                    int(value["free"]),
                    int(value["bugs"]),
                )
            case "held":
                seen[key] = {bug: int(agents) for bug, agents in value.items()}
            case "line":
                seen[key] = [seat[17:] for seat in sorted(value, key=lambda s: (value[s], s))]
            case "profiles":
                seen[key] = {profile: int(count) for profile, count in value.items()}
            case (
                "lines"
                | "outbox"
                | "leases"
                | "delayed"
                | "patience"
                | "finished"
                | "starving"
                | "nodes"
                | "gone"
                | "heard"
                | "unheard"
                | "draining"
            ):
                seen[key] = value
            case _:
                pass  # shelves, ejections and statistics are the invariants' to judge
    return seen


def _bug(fields: dict[str, str]) -> dict[str, Any]:
    return {
        "state": fields["state"],
        "node": fields.get("node", ""),
        "incarnation": fields.get("incarnation", ""),
        "epoch": int(fields.get("epoch", 0)),
        "runs": int(fields.get("runs", 0)),
        "attempts": int(fields.get("attempts", 0)),
        "losses": int(fields.get("losses", 0)),
        "cancelling": "cancelling" in fields,
        "has_outcome": "outcome" in fields,
        "clocks": {
            clock: int(fields[field])
            for clock, field in COUNTED.items()
            if int(fields.get(field, 0))
        },
    }


def expected(model: Model) -> dict[str, Any]:
    """The model, as a dump would show it."""
    wanted: dict[str, Any] = {}
    for bug in model.bugs.values():
        wanted[f"bug:{bug.id}"] = {
            "state": str(bug.state),
            "node": bug.node,
            "incarnation": bug.incarnation,
            "epoch": bug.epoch,
            "runs": bug.runs,
            "attempts": bug.attempts,
            "losses": bug.losses,
            "cancelling": bug.cancelling,
            "has_outcome": model.is_over(bug.id),
            "clocks": {clock: ms for clock, ms in bug.clocks.items() if ms},
        }
    profiles: dict[str, int] = {}
    for node in model.nodes.values():
        wanted[f"node:{node.name}"] = (node.state, node.incarnation, node.free, len(node.held))
        if node.held:
            wanted[f"held:{node.name}"] = node.held
        if node.state == "OFFLINE":
            wanted.setdefault("gone", {})[node.name] = node.gone_ms
        else:
            wanted.setdefault("nodes", {})[node.name] = node.deadline_ms
            if node.state == "STOPPING":
                due_ms = NEVER_MS
                if node.drain_until_ms is not None:
                    due_ms = node.drain_until_ms + model.limits["move_after_ms"]
                wanted.setdefault("draining", {})[node.name] = due_ms
            profile = f"{node.agents}|{','.join(sorted(node.labels))}"
            profiles[profile] = profiles.get(profile, 0) + 1
        if node.kept_for:
            wanted.setdefault("starving", {})[node.kept_for] = node.name
    for key, found in (("profiles", profiles), ("heard", model.heard), ("unheard", model.unheard)):
        if found:
            wanted[key] = found
    lines = model.lines()
    for name, line in lines.items():
        wanted[f"line:{name}"] = [bug.id for bug in line]
    if lines:
        wanted["lines"] = set(lines)
    for key, at_ms in (
        ("outbox", _bell), ("leases", _lease), ("delayed", _due), ("patience", _patience),
        ("finished", _finished),
    ):  # fmt: skip
        members = {bug.id: at for bug in model.bugs.values() if (at := at_ms(bug)) is not None}
        if members:
            wanted[key] = members
    return wanted


def _bell(bug: ModelBug) -> int | None:
    return bug.bell_ms if bug.state is BugState.ASSIGNED else None


def _lease(bug: ModelBug) -> int | None:
    return bug.lease_ms if bug.state in (BugState.RUNNING, BugState.RESERVED) else None


def _due(bug: ModelBug) -> int | None:
    return bug.due_ms if bug.state is WAITING else None


def _patience(bug: ModelBug) -> int | None:
    return bug.patience_ms


def _finished(bug: ModelBug) -> int | None:
    return bug.finished_ms
