"""What a client process holds of the cluster: the store and the doorbells."""

import os
import threading
from collections.abc import Sequence

from fixwurx_celery.broker import Doorbells, doorbell, make_app
from fixwurx_celery.domain.bugs import Assignment, Bug
from fixwurx_celery.errors import FixwurxError, LineFull, Unsatisfiable
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore, Submission

__all__ = ["Connection", "refusal"]


class Connection:
    """A process's way to one cluster. Safe to share between threads; made anew after a fork.

    Connects when first used. Commits go to the store first and doorbells after: a process that dies
    in between, or a broker that is away, costs seconds, never a bug.
    """

    def __init__(self, settings: Settings | None = None, *, is_patient: bool = True) -> None:
        """Who is not patient has the store's answer, or StoreUnavailable, within seconds.

        Raises ConfigurationError when no store is named."""
        self.settings = settings or Settings.from_environment()
        app = make_app(self.settings)
        self.store = ClusterStore.from_settings(
            self.settings, bell=doorbell(self.settings), is_patient=is_patient
        )
        self._doorbells = Doorbells(app)
        self._ringing = threading.Lock()
        self._pid = os.getpid()

    def ring(self, assignments: Sequence[Assignment]) -> None:
        """Tells the nodes. What cannot be sent now is rung by the next sweep."""
        if assignments:
            with self._ringing:
                self._doorbells.ring(assignments)

    def submit(self, bugs: Sequence[Bug]) -> list[Submission]:
        """Takes in the bugs and rings; what became of each, in their order."""
        submissions, assignments = self.store.submit(bugs)
        self.ring(assignments)
        return submissions

    def close(self) -> None:
        """Closes this process's connections."""
        with self._ringing:
            self._doorbells.close()
        self.store.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def refusal(bug: Bug, submission: Submission) -> FixwurxError | None:
    """The error that says why the bug was refused, or None when it was taken."""
    match submission.status:
        case "FULL":
            return LineFull(bug.id, int(submission.detail))
        case "UNSATISFIABLE":
            return Unsatisfiable(bug.id, bug.agents, int(submission.detail), bug.requires)
        case "CLASSES":
            return FixwurxError(
                f"cannot take bug {bug.id}: {submission.detail} different (agents, requires) wait "
                "already; use fewer combinations, or retry when some have ended"
            )
        case _:
            return None
