"""What the scalers of a number of replicas share: a number is wanted, and the fleet is told.

Each is given its best case. Of the replicas that are too many, those that still start go first and
then the emptiest, where Kubernetes takes any; and one that is scaled in ends what it runs, as if
its termination grace were unlimited. It is paid for until then, and is not had back.
"""

from abc import ABC, abstractmethod

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.simulation.fleet import Fleet
from fixwurx_celery.simulation.run import Orders

__all__ = ["FixedScaler", "ReplicaScaler"]


class ReplicaScaler(ABC):
    """Brings the fleet to `wanted` nodes of one kind, those that drain not counted."""

    packs = False

    def __init__(self, spec: NodeSpec, least: int, most: int, interval_s: float) -> None:
        self.spec, self.least, self.most = spec, least, most
        self.interval_s = interval_s

    @abstractmethod
    def wanted(self, fleet: Fleet, now_s: float, current: int) -> int:
        """How many nodes there should be, where there are `current`."""

    def act(self, fleet: Fleet, now_s: float) -> Orders:
        """Launches what is missing, drains what is too much."""
        starting, serving = fleet.starting, fleet.serving
        current = len(starting) + len(serving)
        wanted = max(self.least, min(self.most, self.wanted(fleet, now_s, current)))
        if wanted >= current:
            return Orders(launch=[self.spec] * (wanted - current))
        emptiest = sorted(serving, key=lambda node: (-node.free, node.idle_since_s))
        return Orders(drain=[node.name for node in [*starting, *emptiest][: current - wanted]])

    def ended(self, bug: int, ran_s: float) -> None:  # noqa: B027 - nothing is learned
        """Nothing is learned."""

    def booted(self, boot_s: float) -> None:  # noqa: B027 - nothing is learned
        """Nothing is learned."""


class FixedScaler(ReplicaScaler):
    """As many nodes all the time."""

    def __init__(self, spec: NodeSpec, nodes: int) -> None:
        super().__init__(spec, nodes, nodes, interval_s=3600.0)

    def wanted(self, fleet: Fleet, now_s: float, current: int) -> int:  # noqa: ARG002
        """Those."""
        return self.least
