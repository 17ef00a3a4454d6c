"""What a client process holds of the cluster: the store and the doorbells."""

import threading
from collections.abc import Sequence

from fixwurx_celery.broker import Doorbells, doorbell, make_app
from fixwurx_celery.domain.bugs import Assignment, Bug
from fixwurx_celery.errors import FixwurxError, LineFull, Unsatisfiable
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore, Snapshot, Submission
from fixwurx_celery.tracing import submitting

__all__ = ["Connection", "refusal"]


class Connection:
    """A process's way to one cluster. Safe to share between threads; made anew after a fork.

    Connects when first used. Commits go to the store first and doorbells after: a process that dies
    in between, or a broker that is away, costs seconds, never a bug.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        is_to_come: bool = False,
        is_patient: bool = True,
    ) -> None:
        """Raises ConfigurationError when no store is named, unless the cluster `is_to_come`: then
        `lead_to` says later where it is. Who is not patient has the store's answer, or
        StoreUnavailable, within seconds."""
        self.settings = settings or Settings.from_environment()
        self._is_patient = is_patient
        self._store: ClusterStore | None = None
        self._doorbells: Doorbells | None = None
        self._ringing = threading.Lock()
        if self.settings.redis_url or not is_to_come:
            self.lead_to(self.settings)

    def lead_to(self, settings: Settings) -> None:
        """From now on this is the way to the cluster of these settings. Raises ConfigurationError
        when they name no store."""
        app = make_app(settings)
        self._doorbells = Doorbells(app)
        self._store = ClusterStore.from_settings(
            settings, bell=doorbell(settings), is_patient=self._is_patient
        )
        self.settings = settings

    @property
    def is_there(self) -> bool:
        """Whether there is a cluster to reach: false before one of one's own has been started, and
        after it was stopped."""
        return self._store is not None

    @property
    def store(self) -> ClusterStore:
        """The cluster's store. Raises FixwurxError when there is none yet, or no more."""
        if self._store is None:
            raise FixwurxError(
                "there is no cluster to do this on: start() the ScalingCoordinator first, or name "
                "a store in FIXWURX_REDIS_URL"
            )
        return self._store

    def snapshot(self) -> Snapshot:
        """The cluster at this instant; one without nodes where there is none."""
        if self._store is None:
            return Snapshot.of_nothing(self.settings.strategy)
        return self._store.snapshot()

    def ring(self, assignments: Sequence[Assignment]) -> None:
        """Tells the nodes. What cannot be sent now is rung by the next sweep."""
        if assignments:
            with self._ringing:
                if self._doorbells is not None:
                    self._doorbells.ring(assignments)

    def submit(self, bugs: Sequence[Bug]) -> list[Submission]:
        """Takes in the bugs and rings; what became of each, in their order."""
        with submitting(bugs) as traces:
            submissions, assignments = self.store.submit(bugs, traces)
        self.ring(assignments)
        return submissions

    def close(self) -> None:
        """Closes this process's connections; they open again when they are used."""
        with self._ringing:
            if self._doorbells is not None:
                self._doorbells.close()
        if self._store is not None:
            self._store.close()

    def lead_nowhere(self) -> None:
        """Its cluster has been stopped."""
        self.close()
        self._store = self._doorbells = None

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
