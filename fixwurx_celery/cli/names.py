"""Names as people type them: the nearest known one for whoever mistyped it."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from fixwurx_celery.domain.nodes import WorkerNode
from fixwurx_celery.errors import BugUnknown, FixwurxError, NodeUnknown
from fixwurx_celery.store import BugRecord, ClusterStore, Snapshot

__all__ = ["did_you_mean", "known_bug", "known_node", "nearest", "unknown_bug"]

KNOWN_IDS: Final = 10_000
"""So many ids are looked through for one that resembles a mistyped one."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like this one, whatever its case; None when none does."""
    by_fold = {candidate.casefold(): candidate for candidate in known}
    found = get_close_matches(name.casefold(), list(by_fold), n=1, cutoff=0.6)
    return by_fold[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown name: a question, or nothing."""
    found = nearest(name, known)
    return f"; did you mean {found}?" if found else ""


def known_bug(store: ClusterStore, bug_id: str) -> BugRecord:
    """The bug's record. Raises FixwurxError, with the id that was perhaps meant."""
    try:
        return store.bug(bug_id)
    except BugUnknown as error:
        raise unknown_bug(store, error) from error


def unknown_bug(store: ClusterStore, error: BugUnknown) -> FixwurxError:
    """The error with the id that was perhaps meant."""
    return FixwurxError(f"{error}{did_you_mean(error.bug_id, store.bug_ids(KNOWN_IDS))}")


def known_node(snapshot: Snapshot, name: str) -> WorkerNode:
    """The node of that name, or the only one whose name begins so before the `@`.

    Raises FixwurxError, with the name that was perhaps meant.
    """
    by_name = {node.worker_id: node for node in snapshot.nodes}
    if name in by_name:
        return by_name[name]
    short = [node for node in snapshot.nodes if node.worker_id.partition("@")[0] == name]
    if len(short) == 1:
        return short[0]
    if short:
        meant = " or ".join(sorted(node.worker_id for node in short))
        raise FixwurxError(f"node {name} is not one node: say {meant}")
    raise FixwurxError(f"{NodeUnknown(name)}{did_you_mean(name, by_name)}")
