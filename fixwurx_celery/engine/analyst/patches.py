"""The analyst that was given its candidates."""

from collections.abc import Sequence

from fixwurx_celery.engine.analyst.base import Candidate, Case
from fixwurx_celery.engine.base import JSON


class Patches:
    """Proposes the given diffs in their order, as many at once as the bug has agents."""

    def __init__(self, case: Case, diffs: Sequence[str]) -> None:
        count = len(diffs)
        self._at_once = case.agents
        self._waiting = [
            # The score only keeps the order: 1 for the first, falling.
            Candidate(diff=diff, description=f"patch {n} of {count}", score=1.0 / n)
            for n, diff in enumerate(diffs, start=1)
        ]
        self.tried = 0

    @property
    def exhausted(self) -> bool:
        """True when all were proposed."""
        return not self._waiting

    def step(self) -> Sequence[Candidate]:
        """The next of them."""
        now, self._waiting = self._waiting[: self._at_once], self._waiting[self._at_once :]
        self.tried += len(now)
        return now

    def checkpoint(self) -> JSON:
        """Nothing: the engine remembers what was refused."""
        return None

    def close(self) -> None:
        """Nothing was started."""
