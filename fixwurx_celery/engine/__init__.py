"""What processes one bug: the seam, and the engine that ships."""

from fixwurx_celery.engine.base import Artifacts, Engine, EngineBug, EngineFactory, Outcome, Phase
from fixwurx_celery.engine.triangulation import triangulation

__all__ = [
    "Artifacts",
    "Engine",
    "EngineBug",
    "EngineFactory",
    "Outcome",
    "Phase",
    "triangulation",
]
