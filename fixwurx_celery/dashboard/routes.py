"""Which path leads to which handler."""

from typing import Final

from tornado.web import url

from fixwurx_celery.dashboard.actions import drain, resume, set_strategy
from fixwurx_celery.dashboard.page import ASSETS, Asset, ClusterApi, ClusterPage
from fixwurx_celery.dashboard.probes import Healthcheck, Metrics
from fixwurx_celery.dashboard.steering import ActionApi
from fixwurx_celery.dashboard.texts import LogApi, PatchApi

__all__ = ["ROUTES"]

ROUTES: Final = (
    url(r"/cluster", ClusterPage, name="cluster"),
    url(r"/api/fixwurx/cluster", ClusterApi, name="cluster-api"),
    url(r"/api/fixwurx/log", LogApi, name="log-api"),
    url(r"/api/fixwurx/patch", PatchApi, name="patch-api"),
    url(r"/api/fixwurx/drain", ActionApi, {"field": "node", "act": drain}, name="drain-api"),
    url(r"/api/fixwurx/resume", ActionApi, {"field": "node", "act": resume}, name="resume-api"),
    url(
        r"/api/fixwurx/strategy",
        ActionApi,
        {"field": "strategy", "act": set_strategy},
        name="strategy-api",
    ),
    url(r"/cluster/static/([\w.-]+)", Asset, {"path": str(ASSETS)}, name="asset"),
    url(r"/metrics", Metrics),
    url(r"/healthcheck", Healthcheck),
)
"""Before Flower's own, some of which they replace."""
