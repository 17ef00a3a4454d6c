"""Our own policy: the code that decides for a real cluster, with a view that is built alike."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence

from fixwurx_celery.domain.scaling import (
    Candidate,
    ClusterView,
    Demand,
    Draining,
    ScalingPolicy,
    Supply,
    decide,
)
from fixwurx_celery.simulation.fleet import BugClass, Fleet
from fixwurx_celery.simulation.run import Orders
from fixwurx_celery.simulation.trace import Arrival

__all__ = ["PolicyScaler"]

WEIGHT = 0.2
"""Of the newest measurement in the exponential averages of run and boot times."""


class PolicyScaler:
    """Observes the fleet, decides, and remembers what the window needed."""

    packs = False

    def __init__(
        self, policy: ScalingPolicy, arrivals: Sequence[Arrival], interval_s: float = 30.0
    ) -> None:
        self.policy, self.interval_s = policy, interval_s
        self._arrivals = arrivals
        self._needed: deque[tuple[float, Mapping[str, int]]] = deque()
        self._run_s: dict[BugClass, float] = {}
        self._boot_s: float | None = None

    def act(self, fleet: Fleet, now_s: float) -> Orders:
        """What `decide` says of the fleet."""
        while self._needed and self._needed[0][0] < now_s - self.policy.window_s:
            self._needed.popleft()
        decision = decide(self.view(fleet, now_s), self.policy)
        self._needed.append((now_s, decision.needed))
        return Orders(
            launch=decision.launch,
            resume=decision.resume,
            drain=decision.drain,
            reason=decision.reason,
        )

    def view(self, fleet: Fleet, now_s: float) -> ClusterView:
        """The fleet as a decision sees it."""
        serving = fleet.serving
        alike = Counter((node.spec, node.free) for node in serving)
        return ClusterView(
            supply=[Supply(spec=spec, free=free, count=n) for (spec, free), n in alike.items()],
            starting=Counter(node.spec for node in fleet.starting),
            draining=[
                Draining(worker_id=node.name, spec=node.spec, held=node.spec.agents - node.free)
                for node in fleet.draining
            ],
            candidates=[
                Candidate(
                    worker_id=node.name,
                    spec=node.spec,
                    holds=tuple(node.holds.values()),
                    idle_s=0.0 if node.holds else now_s - node.idle_since_s,
                )
                for node in serving
            ],
            demand=[
                Demand(
                    agents=kind[0],
                    requires=kind[1],
                    waiting=len(line),
                    run_s=self._run_s.get(kind),
                )
                for kind, line in fleet.lines.items()
                if line
            ],
            needed=[needed for _, needed in self._needed],
            boot_s=self._boot_s,
        )

    def ended(self, bug: int, ran_s: float) -> None:
        """Averages the run times of the bug's class."""
        one = self._arrivals[bug]
        kind = (one.agents, one.requires)
        self._run_s[kind] = _averaged(self._run_s.get(kind), ran_s)

    def booted(self, boot_s: float) -> None:
        """Averages the boot times."""
        self._boot_s = _averaged(self._boot_s, boot_s)


def _averaged(before: float | None, newest: float) -> float:
    return newest if before is None else before + WEIGHT * (newest - before)
