"""The cluster that `run` and `up` bring along: a private store, a controller, and nodes."""

from fixwurx_celery.embedded.cluster import EmbeddedCluster, Trouble
from fixwurx_celery.embedded.node_plan import MOST_NODES, Growth, NodePlan
from fixwurx_celery.embedded.state_folder import StateFolder, prune, state_root

__all__ = [
    "MOST_NODES",
    "EmbeddedCluster",
    "Growth",
    "NodePlan",
    "StateFolder",
    "Trouble",
    "prune",
    "state_root",
]
