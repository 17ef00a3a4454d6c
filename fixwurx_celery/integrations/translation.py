"""FixWurx's bugs as the cluster takes them: their fields as JSON, their entropy as a priority."""

import dataclasses
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, Final

from fixwurx_celery.domain.bugs import MAX_PRIORITY, Bug
from fixwurx_celery.errors import InputError

__all__ = ["bug_of", "entropy_of", "priority_of"]

STEPS_PER_BIT: Final = 50
"""Entropies between 0 and 20 bits differ in priority when they differ by 0.02."""
FIELDS: Final = ("agents", "requires", "timeout_s", "limits", "expected_s")
"""Of a bug of the cluster's; taken over from an object that has them under these names."""
DEEP: Final = 20


def priority_of(entropy: float) -> int:
    """The priority of a bug of this entropy (bits): the less is unknown, the sooner it runs. Whole
    numbers from 0 down to -1000; what is not a number comes last."""
    if entropy != entropy:
        return -MAX_PRIORITY
    return -round(STEPS_PER_BIT * min(max(entropy, 0.0), MAX_PRIORITY / STEPS_PER_BIT))


def entropy_of(bug: Any, scheduler: Any = None) -> float | None:
    """The bug's entropy in bits: its own `entropy`, else the `current_entropy` that the scheduler's
    `bug_metrics` have; None where neither is known."""
    entropy = getattr(bug, "entropy", None)
    if entropy is None:
        known = getattr(scheduler, "bug_metrics", None)
        metrics = known.get(bug.bug_id) if isinstance(known, Mapping) else None
        entropy = getattr(metrics, "current_entropy", None)
    return float(entropy) if isinstance(entropy, int | float) else None


def bug_of(bug: Any, entropy: float | None = None) -> Bug:
    """The object as a bug of the cluster's.

    It must have a `bug_id`. Its payload is its `payload`, where it has one; else all of its fields
    that JSON can hold, enum members by name. Raises InputError for one that cannot be taken.
    """
    try:
        if isinstance(bug, Bug):
            made = bug
        elif isinstance(bug, str):
            made = Bug(id=bug)
        else:
            made = Bug(
                id=bug.bug_id,
                payload=_payload(bug),
                priority=int(getattr(bug, "priority", 0)) if entropy is None else 0,
                **_given(bug),
            )
        return made if entropy is None else dataclasses.replace(made, priority=priority_of(entropy))
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError([f"{bug!r:.200} cannot be taken: {error}"]) from error


def _given(bug: Any) -> dict[str, Any]:
    given = {name: getattr(bug, name) for name in FIELDS if getattr(bug, name, None) is not None}
    if "requires" in given:
        given["requires"] = frozenset(given["requires"])
    return given


def _payload(bug: Any) -> dict[str, Any]:
    own = getattr(bug, "payload", None)
    fields = own if isinstance(own, Mapping) else _fields(bug)
    return {str(name): value for name, value in _plain(fields, 0).items()}


def _fields(bug: Any) -> Mapping[str, Any]:
    if dataclasses.is_dataclass(bug):
        return {field.name: getattr(bug, field.name) for field in dataclasses.fields(bug)}
    return vars(bug) if hasattr(bug, "__dict__") else {}


class _Unwritable(Exception):
    """JSON has no way to write it."""


def _plain(value: Any, depth: int) -> Any:
    """The value as JSON types. What has none in a mapping is left out of it."""
    if depth > DEEP:
        raise _Unwritable
    match value:
        case Enum():
            return value.name
        case None | bool() | int() | str():
            return value
        case float():
            return value if value - value == 0 else None
        case PurePath():
            return str(value)
        case Mapping():
            plain = {}
            for name, one in value.items():
                if isinstance(name, str) and not name.startswith("_"):
                    try:
                        plain[name] = _plain(one, depth + 1)
                    except _Unwritable:
                        continue
            return plain
        case list() | tuple() | set() | frozenset():
            ordered = sorted(value, key=str) if isinstance(value, set | frozenset) else value
            return [_plain(one, depth + 1) for one in ordered]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return _plain(_fields(value), depth)
        case _:
            raise _Unwritable
