"""KEDA's trigger on the length of a Redis list.

After the KEDA documentation, "Redis Lists" (listLength, activationListLength), "ScaledObject
specification" (pollingInterval, cooldownPeriod, minReplicaCount) and "Scaling Deployments,
StatefulSets & Custom Resources": KEDA itself takes the deployment from zero to one and back, in
between it is the HorizontalPodAutoscaler's.
"""

from typing import Final

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.simulation.fleet import Fleet
from fixwurx_celery.simulation.scalers.hpa import SYNC_S, HpaScaler

__all__ = ["KedaScaler"]

POLLING_S: Final = 30.0
COOLDOWN_S: Final = 300.0
LIST_LENGTH: Final = 5


class KedaScaler(HpaScaler):
    """A list has the waiting bugs alone: those at work have been taken from it."""

    def __init__(
        self, spec: NodeSpec, least: int, most: int, list_length: float = LIST_LENGTH
    ) -> None:
        super().__init__(spec, least, most, list_length, counts_running=False)
        self.least = least
        self._active_s = 0.0
        self._polled_s = -POLLING_S

    def wanted(self, fleet: Fleet, now_s: float, current: int) -> int:
        """None after the cooldown; one when there is work again; else what the HPA says."""
        if self.least:
            return super().wanted(fleet, now_s, current)
        is_polling = now_s >= self._polled_s + POLLING_S
        if is_polling:
            self._polled_s = now_s
            if fleet.waiting:
                self._active_s = now_s
            elif now_s > self._active_s + COOLDOWN_S:
                return 0
        if not current:
            return 1 if is_polling and fleet.waiting else 0
        return max(1, super().wanted(fleet, now_s, current))


assert POLLING_S % SYNC_S == 0  # noqa: S101 - polls fall on syncs
