"""Metrics: of the cluster, for Prometheus and others who watch; and FixWurx's own, by its bus."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from fixwurx_celery.addresses import ListenAddress
from fixwurx_celery.metrics.bus import MetricBus
from fixwurx_celery.metrics.engine_view import ClusterEngineView
from fixwurx_celery.metrics.readings import Readings
from fixwurx_celery.metrics.server import MetricsServer
from fixwurx_celery.settings import Settings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["ClusterEngineView", "MetricBus", "page", "register", "server_of"]


def register(registry: "CollectorRegistry | None" = None, settings: Settings | None = None) -> None:
    """Adds the cluster's metrics to a registry, the default one unless given. Connects to nothing
    until it is scraped.

    `settings` are the environment's unless given. Raises ConfigurationError where no store is named
    or Prometheus' client library is missing, ValueError when the registry has such metrics already.
    """
    from fixwurx_celery.metrics.prometheus import REGISTRY, ClusterCollector

    collector = ClusterCollector(Readings.of(settings or Settings.from_environment()))
    (registry or REGISTRY).register(collector)


def page(settings: Settings) -> bytes:
    """The metrics of the cluster that the settings name, as Prometheus reads them."""
    return _page_of(settings)()


def server_of(settings: Settings) -> MetricsServer:
    """What serves the cluster's metrics at the settings' `metrics_listen`, once it is started.

    Raises ConfigurationError where no store is named or the client library is missing.
    """
    address = ListenAddress.parse(settings.metrics_listen)
    return MetricsServer(address, _page_of(settings), settings.metrics_token)


def _page_of(settings: Settings) -> Callable[[], bytes]:
    from fixwurx_celery.metrics.prometheus import ClusterCollector, page_of

    return page_of(ClusterCollector(Readings.of(settings)))
