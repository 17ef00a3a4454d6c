"""Ray's autoscaler.

After the Ray documentation, "Configuring Autoscaling" (upscaling_speed, idle_timeout_minutes) and
"Autoscaler v2" (bin packing of pending demand onto nodes that are there or start): nodes are added
for demand that fits nowhere, and one that has been idle for the timeout is removed. Its best case:
bugs are packed onto the fullest node, so that others become idle.
"""

import math
from collections import Counter
from typing import Final

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.simulation.fleet import Fleet
from fixwurx_celery.simulation.run import Orders
from fixwurx_celery.simulation.scalers.replicas import ReplicaScaler

__all__ = ["RayScaler"]

UPDATE_S: Final = 5.0
UPSCALING_SPEED: Final = 1.0
LEAST_PENDING: Final = 5
"""So many nodes may start at once, however few there are."""
IDLE_TIMEOUT_S: Final = 300.0


class RayScaler(ReplicaScaler):
    """Up by what does not fit, down by what is idle."""

    packs = True

    def __init__(
        self, spec: NodeSpec, least: int, most: int, idle_timeout_s: float = IDLE_TIMEOUT_S
    ) -> None:
        super().__init__(spec, least, most, interval_s=UPDATE_S)
        self.idle_timeout_s = idle_timeout_s

    def wanted(self, fleet: Fleet, now_s: float, current: int) -> int:  # noqa: ARG002
        """What is there, and what the waiting bugs ask for beyond it."""
        starting = len(fleet.starting)
        room = Counter(node.free for node in fleet.serving)
        room[self.spec.agents] += starting
        new = 0
        for (agents, _), line in sorted(fleet.lines.items(), key=lambda one: -one[0][0]):
            left = len(line)
            for free in sorted(room):
                places = min(left, room[free] * (free // agents))
                left -= places
                full, rest = divmod(places, max(1, free // agents))
                room[free] -= full + bool(rest)
                room[free % agents] += full
                if rest:
                    room[free - rest * agents] += 1
            nodes = math.ceil(left / (self.spec.agents // agents))
            new += nodes
            spare = nodes * (self.spec.agents // agents) - left
            if nodes and spare:
                room[self.spec.agents % agents + spare * agents] += 1
        allowed = max(LEAST_PENDING, math.ceil(UPSCALING_SPEED * len(fleet.serving)))
        return current + max(0, min(new, allowed - starting))

    def act(self, fleet: Fleet, now_s: float) -> Orders:
        """Launches, and else removes the nodes that have been idle for too long."""
        orders = super().act(fleet, now_s)
        if orders.launch or fleet.waiting:
            return orders
        serving = fleet.serving
        idle = [
            node.name
            for node in serving
            if not node.holds and now_s - node.idle_since_s >= self.idle_timeout_s
        ]
        return Orders(drain=idle[: max(0, len(serving) + len(fleet.starting) - self.least)])
