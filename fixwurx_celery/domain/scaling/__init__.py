"""How many nodes there should be, and why."""

from fixwurx_celery.domain.scaling.decision import ScalingDecision, decide
from fixwurx_celery.domain.scaling.view import (
    Candidate,
    ClusterView,
    Demand,
    Draining,
    ScalingPolicy,
    Supply,
)

__all__ = [
    "Candidate",
    "ClusterView",
    "Demand",
    "Draining",
    "ScalingDecision",
    "ScalingPolicy",
    "Supply",
    "decide",
]
