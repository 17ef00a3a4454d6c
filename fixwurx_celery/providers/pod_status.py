"""What a Pod's status says of its node: how far it is, and why it does not start or has ended."""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.providers.base import ProvidedNode, ProvidedState
from fixwurx_celery.providers.pod_options import CONTAINER
from fixwurx_celery.providers.pods import NODE, PROFILE
from fixwurx_celery.providers.telling import age_s, log_tail

__all__ = ["instant", "node_of"]

UNDER_WAY: Final = frozenset({"ContainerCreating", "PodInitializing"})
"""Reasons for which a container waits as long as all goes well."""


def node_of(pod: Mapping[str, Any], now: datetime, secrets: Collection[str]) -> ProvidedNode:
    """The pod as the node that its annotations name."""
    meta = pod["metadata"]
    state = _state(pod)
    words = {
        ProvidedState.STARTING: _obstacles,
        ProvidedState.ENDED: _end,
    }.get(state, _unusual)
    return ProvidedNode(
        name=meta["annotations"][NODE],
        spec=NodeSpec.of_profile(meta["annotations"][PROFILE]),
        state=state,
        age_s=age_s(instant(meta["creationTimestamp"]), now),
        detail=log_tail("\n".join(filter(None, words(pod))), secrets),
    )


def instant(text: str) -> datetime:
    """A time as the API writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def _state(pod: Mapping[str, Any]) -> ProvidedState:
    phase = pod["status"].get("phase")
    if phase in ("Succeeded", "Failed") or _terminated(pod):
        return ProvidedState.ENDED
    if pod["metadata"].get("deletionTimestamp"):
        return ProvidedState.STOPPING
    return ProvidedState.STARTING if phase == "Pending" else ProvidedState.RUNNING


def _containers(pod: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    status = pod["status"]
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _terminated(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """How the node's container ended; empty while it has not."""
    for one in pod["status"].get("containerStatuses") or ():
        if one["name"] == CONTAINER:
            return one.get("state", {}).get("terminated") or {}
    return {}


def _unusual(pod: Mapping[str, Any]) -> Iterator[str]:
    yield _reason(pod["status"])


def _obstacles(pod: Mapping[str, Any]) -> Iterator[str]:
    yield _reason(pod["status"])
    for condition in pod["status"].get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield _reason(condition)
    for one in _containers(pod):
        waiting = one.get("state", {}).get("waiting") or {}
        if waiting.get("reason") not in (None, *UNDER_WAY):
            yield _reason(waiting)


def _end(pod: Mapping[str, Any]) -> Iterator[str]:
    yield _reason(pod["status"])
    ended = _terminated(pod)
    for one in () if ended else _containers(pod):  # then an init container may have failed
        failed = one.get("state", {}).get("terminated") or {}
        if failed.get("exitCode"):
            yield f"container {one['name']}:"
            ended = failed
    if ended:
        reason = ended.get("reason", "")
        plain = reason in ("", "Completed", "Error")
        yield f"exit status {ended['exitCode']}" + ("" if plain else f", {reason}")
        yield ended.get("message", "")


def _reason(said: Mapping[str, Any]) -> str:
    return ": ".join(filter(None, (said.get("reason"), said.get("message"))))
