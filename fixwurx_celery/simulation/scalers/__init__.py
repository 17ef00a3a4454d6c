"""Who decides in a simulation: our policy, and what others publish of theirs."""

from fixwurx_celery.simulation.scalers.hpa import HpaScaler
from fixwurx_celery.simulation.scalers.keda import KedaScaler
from fixwurx_celery.simulation.scalers.policy import PolicyScaler
from fixwurx_celery.simulation.scalers.ray import RayScaler
from fixwurx_celery.simulation.scalers.replicas import FixedScaler

__all__ = ["FixedScaler", "HpaScaler", "KedaScaler", "PolicyScaler", "RayScaler"]
