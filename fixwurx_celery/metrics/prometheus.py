"""The metrics as Prometheus' client library knows them: the one place where it is imported.

Importing this raises ConfigurationError where the library is missing.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Final

from fixwurx_celery.errors import ConfigurationError
from fixwurx_celery.metrics.bus import MetricBus
from fixwurx_celery.metrics.families import FAMILIES, UP, Family, Kind
from fixwurx_celery.metrics.readings import Reading, Readings
from fixwurx_celery.store.measurement import SCALE_MS, Duration

try:
    from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ConfigurationError(
        [
            "metrics for Prometheus need the package prometheus-client; "
            "pip install 'fixwurx-celery[metrics]'"
        ]
    ) from error

__all__ = ["REGISTRY", "BusCollector", "ClusterCollector", "default_page", "page_of"]

BOUNDS: Final = (*(str(ms / 1000) for ms in SCALE_MS), "+Inf")


class ClusterCollector(Collector):
    """Answers from the store when it is asked. While that is away there is `fixwurx_up 0` alone."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def describe(self) -> Iterable[Metric]:
        """The names, for the registry to find those that are taken; the store is not asked."""
        return [_empty(family) for family in FAMILIES]

    def collect(self) -> Iterator[Metric]:
        """Every metric, as the cluster is now."""
        reading = self._readings.latest()
        if reading is None:
            up = _empty(UP)
            up.add_sample(UP.name, {}, 0)
            yield up
            return
        for family in FAMILIES:
            metric = _filled(family, reading)
            if metric.samples:
                yield metric


class BusCollector(Collector):
    """What was sent to a bus."""

    def __init__(self, bus: MetricBus) -> None:
        self._bus = bus

    def collect(self) -> Iterator[Metric]:
        """Every metric with the value that was sent last."""
        for family in self._bus.families():
            is_counter = family.kind is Kind.COUNTER
            metric = (CounterMetricFamily if is_counter else GaugeMetricFamily)(
                family.name, family.help
            )
            for labels, value in family.samples:
                metric.add_sample(family.name, dict(labels), value)
            yield metric


def page_of(*collectors: Collector) -> Callable[[], bytes]:
    """Writes what the collectors have, as Prometheus reads it."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    return lambda: generate_latest(registry)


def default_page() -> bytes:
    """Writes what is in the default registry: in Flower's process also what Flower counts."""
    return generate_latest(REGISTRY)


def _empty(family: Family) -> Metric:
    match family.kind:
        case Kind.GAUGE:
            return GaugeMetricFamily(family.name, family.help, labels=family.labels)
        case Kind.COUNTER:
            return CounterMetricFamily(family.name, family.help, labels=family.labels)
        case Kind.HISTOGRAM:
            return HistogramMetricFamily(family.name, family.help, labels=family.labels)


def _filled(family: Family, reading: Reading) -> Metric:
    metric = _empty(family)
    for values, value in family.values(reading):
        labels = dict(zip(family.labels, values, strict=True))
        if isinstance(value, Duration):
            for bound, count in zip(BOUNDS, accumulate(value.counts), strict=True):
                metric.add_sample(f"{family.name}_bucket", {**labels, "le": bound}, count)
            metric.add_sample(f"{family.name}_count", labels, sum(value.counts))
            metric.add_sample(f"{family.name}_sum", labels, value.sum_ms / 1000)
        else:
            metric.add_sample(family.name, labels, value)
    return metric
