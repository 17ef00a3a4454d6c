"""How runs ended, on their way to the store: kept on disk while the store is away.

An ending that the store did not take is written into the node's spool and delivered later, by this
node or by the next one that starts on its host. The store takes it as long as nobody else was given
the bug; otherwise it is stale, and dropped.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from fixwurx_celery.artifacts import Artifacts
from fixwurx_celery.domain.bugs import ID, Assignment, BugState, verdict
from fixwurx_celery.errors import FixwurxError, StoreUnavailable
from fixwurx_celery.logs import event, words
from fixwurx_celery.store import ClusterStore

__all__ = ["Ending", "Spool", "deliver"]

MOST_PATCH_INLINE: Final = 48 * 1024
"""Larger patches are artifacts, so that a record stays small."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended: with an outcome, in a terminal `state`; or without one (`state` is None),
    and `charge` and `reason` say who pays for that, `checkpoint` from where the next run goes on.
    """

    bug_id: str
    node: str
    incarnation: str
    epoch: int
    runner: str
    state: BugState | None = None
    outcome: Any = None
    charge: str = ""
    reason: str = ""
    checkpoint: str = ""
    log: str = ""
    seconds: float | None = None

    @property
    def about(self) -> dict[str, Any]:
        """What a line of the log about it is about."""
        return {"bug": self.bug_id, "epoch": self.epoch, "node": self.node}


def deliver(
    store: ClusterStore, open_artifacts: Callable[[], Artifacts], ending: Ending
) -> tuple[str, list[Assignment]]:
    """What became of the bug, STALE if it is somebody else's by now; and what to ring.

    It is logged. Safe to repeat. Raises StoreUnavailable.
    """
    run = (ending.bug_id, ending.node, ending.incarnation, ending.epoch)
    if ending.log or ending.checkpoint:
        store.report(*run, ending.runner, checkpoint=ending.checkpoint, log=ending.log)
    if ending.state is None:
        status, following = store.fail_attempt(
            *run, ending.charge, ending.reason, runner=ending.runner
        )
    else:
        outcome = put_aside(ending.outcome, open_artifacts)
        handed = store.finish(*run, ending.runner, ending.state, outcome)
        status = "STALE" if handed is None else str(ending.state)
        following = handed or []
    log_end(ending, status)
    return status, following


def log_end(ending: Ending, status: str) -> None:
    """A bug that goes elsewhere, or is given up, is a warning; one that ended is none."""
    if status == "STALE":
        log.warning(
            words("the end of the run does not count: the bug is somebody else's", **ending.about)
        )
    elif ending.state is None:
        action = "bug_given_back" if status == BugState.PENDING else f"bug_{status.lower()}"
        told = {"reason": ending.reason, "charge": ending.charge, **ending.about}
        log.warning(event(action, **told))
    else:
        outcome = ending.outcome if isinstance(ending.outcome, Mapping) else {}
        why = outcome.get("edit") or outcome.get("reason")
        told = {"reason": why, "outcome": verdict(ending.outcome), "state": status}
        log.info(event("bug_finished", **told, seconds=ending.seconds, **ending.about))


def put_aside(outcome: Any, open_artifacts: Callable[[], Artifacts]) -> Any:
    """The outcome, with a large patch as an artifact."""
    if not isinstance(outcome, Mapping) or not isinstance(outcome.get("patch"), str):
        return outcome
    patch = outcome["patch"].encode()
    if len(patch) <= MOST_PATCH_INLINE:
        return outcome
    return {**outcome, "patch": None, "patch_artifact": open_artifacts().put(patch)}


class Spool:
    """The folder of what the store did not take yet: endings of runs, and of nodes' lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, ending: Ending) -> None:
        """Writes it down so that it outlives this process and a power cut.

        A run has one ending, the first. What is known of it only from its process's death is said
        after that (`-` sorts before `.`), and is stale then. The id, which came in a message, names
        the file: what is none has no run.
        """
        if not ID.fullmatch(ending.bug_id):
            log.error(words(f"an ending of what can be no bug is not kept: {ending.bug_id!r:.200}"))
            return
        run = f"{ending.bug_id}-{ending.epoch}" + (f"-{ending.runner}" if ending.runner else "")
        path = self._folder / f"{run}.json"
        if not path.exists():
            self._write(path, json.dumps(asdict(ending)))

    def keep_life(self, node: str, incarnation: str) -> None:
        """Writes down that this life of the node is over."""
        self._write(self._folder / f"{incarnation}.life", node)

    def _write(self, path: Path, text: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = path.with_name(f"{path.name}.part")
        with unfinished.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)

    def retire_all(self, store: ClusterStore) -> Iterator[tuple[str, list[Assignment]]]:
        """Takes the lives out of service that ended while the store was away: each node's name, and
        what to ring. What they held goes elsewhere, uncharged. Raises StoreUnavailable."""
        for path in sorted(self._folder.glob("*.life")):
            try:
                node = path.read_text()
            except FileNotFoundError:  # another node of this host was faster
                continue
            assignments = store.retire(node, path.stem) or []
            path.unlink(missing_ok=True)
            yield node, assignments

    def __len__(self) -> int:
        return len(self._paths())

    def deliver_all(
        self, store: ClusterStore, open_artifacts: Callable[[], Artifacts]
    ) -> Iterator[tuple[Ending, str, list[Assignment]]]:
        """Each ending that the store was told, with its answer. Raises StoreUnavailable; what is
        left then stays for the next time."""
        for path in self._paths():
            try:
                ending = _read(path)
                status, assignments = deliver(store, open_artifacts, ending)
            except FileNotFoundError:  # another node of this host was faster
                continue
            except StoreUnavailable:
                raise
            except (ValueError, TypeError, KeyError, FixwurxError) as error:
                log.error(words(f"{path} cannot be delivered, and is put aside: {error}"))
                path.rename(path.with_suffix(".bad"))
                continue
            path.unlink(missing_ok=True)
            yield ending, status, assignments

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"))


def _read(path: Path) -> Ending:
    ending = Ending(**json.loads(path.read_text()))
    return replace(ending, state=None if ending.state is None else BugState(ending.state))
