"""Kubernetes' HorizontalPodAutoscaler on the length of a queue, with its default behaviour.

After the Kubernetes documentation, "Horizontal Pod Autoscaling" (algorithm details, configurable
scaling behavior, stabilization window, default behavior) and the API reference of
"HorizontalPodAutoscaler autoscaling/v2" (HPAScalingRules).
"""

import math
from collections import deque
from typing import Final

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.simulation.fleet import Fleet
from fixwurx_celery.simulation.scalers.replicas import ReplicaScaler

__all__ = ["HpaScaler"]

SYNC_S: Final = 15.0
TOLERANCE: Final = 0.1
DOWN_WINDOW_S: Final = 300.0
UP_PERIOD_S: Final = 15.0
UP_PODS: Final = 4


class HpaScaler(ReplicaScaler):
    """An external metric with an `averageValue` of `target` bugs a node.

    The metric is the number of waiting bugs, or with `counts_running` of all that are not done,
    which is the better one: it does not fall to nothing while every node is busy.
    """

    def __init__(
        self,
        spec: NodeSpec,
        least: int,
        most: int,
        target: float,
        *,
        counts_running: bool,
        down_window_s: float = DOWN_WINDOW_S,
    ) -> None:
        # Kubernetes asks for one replica at least, unless an alpha feature is switched on.
        super().__init__(spec, max(1, least), most, interval_s=SYNC_S)
        self.target, self.counts_running = target, counts_running
        self.down_window_s = down_window_s
        self._recommended: deque[tuple[float, int]] = deque()
        self._added: deque[tuple[float, int]] = deque()

    def wanted(self, fleet: Fleet, now_s: float, current: int) -> int:
        """The recommendation, once stabilised and limited."""
        metric = fleet.waiting + (fleet.running if self.counts_running else 0)
        return self.recommend(metric, now_s, current)

    def recommend(self, metric: int, now_s: float, current: int) -> int:
        """As the controller computes it from the metric."""
        ratio = metric / (self.target * current) if current else math.inf
        desired = current if abs(ratio - 1) <= TOLERANCE else math.ceil(metric / self.target)
        self._recommended.append((now_s, desired))
        while self._recommended[0][0] < now_s - self.down_window_s:
            self._recommended.popleft()
        # Up at once; down to no less than any recommendation within the window.
        down_to = max(value for _, value in self._recommended)
        stable = min(max(current, desired), down_to)
        if stable <= current:
            return stable
        while self._added and self._added[0][0] <= now_s - UP_PERIOD_S:
            self._added.popleft()
        at_start = current - sum(count for _, count in self._added)
        limited = min(stable, self.most, at_start + max(UP_PODS, at_start))
        if limited > current:
            self._added.append((now_s, limited - current))
        return max(current, limited)
