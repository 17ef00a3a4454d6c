"""MetricBus: where a program sends its metrics, as FixWurx's SystemMonitor does.

    bus = MetricBus()
    bus.serve("127.0.0.1:9465")
    bus.send("triangulum.agent_utilization", 0.5, tags={"agent_id": "a1"})

What is sent last is what Prometheus finds. A monitor must not end the program that it watches:
`send` raises nothing, waits for nothing, and keeps within bounds whatever it is given. What it
cannot take is dropped, counted in `fixwurx_metric_bus_dropped_total` by reason, and the first of
each reason is logged.
"""

import logging
import math
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from fixwurx_celery.addresses import ListenAddress
from fixwurx_celery.errors import FixwurxError
from fixwurx_celery.metrics.families import FAMILIES, Kind
from fixwurx_celery.metrics.names import (
    free_name,
    is_total,
    label_name,
    label_value,
    metric_name,
)
from fixwurx_celery.metrics.readings import Readings
from fixwurx_celery.metrics.server import MetricsServer
from fixwurx_celery.store.measurement import Duration

if TYPE_CHECKING:
    from fixwurx_celery.cluster import ClusterResourceManager, Connection

__all__ = ["Dropped", "MetricBus", "SentFamily"]

MOST_METRICS: Final = 500
MOST_SERIES_OF_ONE: Final = 1_000
MOST_SERIES: Final = 10_000
MOST_TAGS: Final = 16
FORGET_AFTER_S: Final = 300.0
"""Where there is no room for a new series, those make it that nobody has sent for so long."""
FORGET_AGAIN_S: Final = 1.0

DROPPED_NAME: Final = "fixwurx_metric_bus_dropped_total"
SERIES_NAME: Final = "fixwurx_metric_bus_series"
OURS: Final = frozenset({*(family.name for family in FAMILIES), DROPPED_NAME, SERIES_NAME})

log = logging.getLogger(__name__)


class Dropped(StrEnum):
    """Why something that was sent is not shown."""

    NAME = "name"
    VALUE = "value"
    TAGS = "tags"
    METRICS = "metrics"
    SERIES = "series"

    @property
    def meaning(self) -> str:
        """The rule, in words."""
        match self:
            case Dropped.NAME:
                return "a metric's name must be a text that is not empty"
            case Dropped.VALUE:
                return "a metric's value must be a finite number; a total must not be negative"
            case Dropped.TAGS:
                return f"tags must be a mapping, of at most {MOST_TAGS}"
            case Dropped.METRICS:
                return f"there are {MOST_METRICS} metrics already"
            case Dropped.SERIES:
                return (
                    f"there are {MOST_SERIES_OF_ONE} sets of tags of this metric, or {MOST_SERIES} "
                    "in all, already; give tags few values"
                )


class Series:
    """One value, and when it was sent last."""

    __slots__ = ("at", "value")

    def __init__(self, value: float, at: float) -> None:
        self.value, self.at = value, at


@dataclass(slots=True)
class Sent:
    """One metric that was sent, by its legal name. `keys` has what `send` was called with."""

    name: str
    kind: Kind
    help: str
    series: dict[tuple[tuple[str, str], ...], Series] = field(default_factory=dict)
    keys: dict[Any, tuple[tuple[str, str], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentFamily:
    """One metric as it is shown: the labels of each series, and its value."""

    name: str
    kind: Kind
    help: str
    samples: Sequence[tuple[Mapping[str, str], float]]


class MetricBus:
    """Takes metrics from any thread, and shows them, and those of a cluster, to Prometheus.

    A name that ends in `total` is a counter, of which the total so far is sent; all others are
    gauges. A metric may be sent with differing tags: a missing one is an empty one to Prometheus.
    """

    def __init__(self, cluster: "Connection | ClusterResourceManager | None" = None) -> None:
        """With a `cluster`, its metrics can be read here too, and are served beside those sent."""
        self._readings = Readings.of_cluster(cluster) if cluster else None
        self._lock = threading.Lock()
        self._series: dict[Any, Series] = {}
        self._sent: dict[str, Sent] = {}
        self._taken: set[str] = set(OURS)
        self._dropped = dict.fromkeys(Dropped, 0)
        self._forgot_at = float("-inf")
        self._server: MetricsServer | None = None

    # -- sending ---------------------------------------------------------------------------

    def send(self, metric_name: str, value: float, tags: Mapping[str, Any] | None = None) -> None:
        """Notes the value. Raises nothing: what cannot be shown is dropped and counted."""
        try:
            key = (metric_name, frozenset(tags.items())) if tags else metric_name
            series = self._series[key]
            if math.isfinite(value) and (value >= 0 or not is_total(metric_name)):
                series.value = float(value)
                series.at = time.monotonic()
                return
        except Exception:  # noqa: S110 - the first time, or something odd: looked at below
            pass
        try:
            reason = self._admit(metric_name, value, tags)
        except Exception:  # a value whose own methods raise, for example
            reason = Dropped.VALUE
        if reason:
            self._drop(reason, metric_name)

    def _admit(self, name: Any, value: Any, tags: Any) -> Dropped | None:
        """Notes the value of a series that may be new; why not, where it cannot."""
        if not isinstance(name, str) or not name:
            return Dropped.NAME
        if isinstance(value, str | bytes) or not math.isfinite(number := float(value)):
            return Dropped.VALUE
        if number < 0 and is_total(name):
            return Dropped.VALUE
        if tags is not None and (not isinstance(tags, Mapping) or len(tags) > MOST_TAGS):
            return Dropped.TAGS
        labels = _labels(tags or {})
        key: Any = name
        if tags:
            try:
                key = (name, frozenset(tags.items()))
            except TypeError:  # a value that has no hash
                key = (name, labels)
        with self._lock:
            return self._keep(key, name, labels, number)

    def _keep(
        self, key: Any, name: str, labels: tuple[tuple[str, str], ...], value: float
    ) -> Dropped | None:
        """As `_admit`, of what is well-formed."""
        now = time.monotonic()
        if series := self._series.get(key):
            series.value, series.at = value, now
            return None
        sent = self._sent.get(name)
        if sent is None and len(self._sent) >= MOST_METRICS:
            self._forget(now)
            if len(self._sent) >= MOST_METRICS:
                return Dropped.METRICS
        if self._is_full(sent):
            self._forget(now)
            sent = self._sent.get(name)
            if self._is_full(sent):
                return Dropped.SERIES
        if sent is None:
            legal = free_name(metric_name(name), self._taken)
            kind = Kind.COUNTER if is_total(name) else Kind.GAUGE
            sent = self._sent[name] = Sent(legal, kind, f"Sent as {label_value(name)}")
            self._taken.add(legal)
            if legal != metric_name(name):
                log.warning("metric %r is shown as %s: its own name is another's", name, legal)
        series = sent.series.setdefault(labels, Series(value, now))
        series.value, series.at = value, now
        sent.keys[key] = labels
        self._series[key] = series
        return None

    def _is_full(self, sent: Sent | None) -> bool:
        is_full = sent is not None and len(sent.keys) >= MOST_SERIES_OF_ONE
        return is_full or len(self._series) >= MOST_SERIES

    def _forget(self, now: float) -> None:
        if now - self._forgot_at < FORGET_AGAIN_S:
            return
        self._forgot_at = now
        for name, sent in list(self._sent.items()):
            for key in [key for key in sent.keys if now - self._series[key].at > FORGET_AFTER_S]:
                del self._series[key]
                sent.series.pop(sent.keys.pop(key), None)
            if not sent.keys:
                del self._sent[name]
                self._taken.discard(sent.name)

    def _drop(self, reason: Dropped, name: object) -> None:
        with self._lock:
            self._dropped[reason] += 1
            is_first = self._dropped[reason] == 1
        if is_first:
            shown = label_value(name) if isinstance(name, str) else type(name).__name__
            log.warning(
                "metric %s was dropped: %s; further ones are only counted", shown, reason.meaning
            )

    # -- reading ---------------------------------------------------------------------------

    def read(self, metric_name: str, tags: Mapping[str, Any] | None = None) -> float | None:
        """What was sent last under this name and these tags; else, where the bus has a cluster,
        that metric of it; None when there is none."""
        labels = _labels(tags or {})
        with self._lock:
            if sent := self._sent.get(metric_name):
                series = sent.series.get(labels)
                return series.value if series else None
        if self._readings is None or metric_name not in OURS:
            return None
        found = self.cluster().get(metric_name)
        if isinstance(found, dict):
            return found.get(_written(labels))
        return found if not labels else None

    def cluster(self) -> dict[str, float | dict[str, float]]:
        """The cluster's own metrics, at most a second old: the value of each, or where it has
        labels its values by those (`state=READY`); of durations `count` and `sum`. While the store
        is away there is `fixwurx_up` alone, and that is 0.

        Raises FixwurxError where the bus was given no cluster.
        """
        if self._readings is None:
            raise FixwurxError(
                "this bus knows no cluster; make it with MetricBus(cluster=Connection())"
            )
        reading = self._readings.latest()
        if reading is None:
            return {"fixwurx_up": 0.0}
        told: dict[str, float | dict[str, float]] = {}
        for family in FAMILIES:
            found: dict[str, float] = {}
            for values, value in family.values(reading):
                if isinstance(value, Duration):
                    found = {"count": sum(value.counts), "sum": value.sum_ms / 1000}
                elif family.labels:
                    pairs = sorted(zip(family.labels, values, strict=True))
                    found[_written(pairs)] = float(value)
                else:
                    told[family.name] = float(value)
            if found:
                told[family.name] = found
        return told

    def families(self) -> list[SentFamily]:
        """What was sent, as it is shown; and what the bus says of itself."""
        with self._lock:
            sent = [
                SentFamily(
                    name=one.name,
                    kind=one.kind,
                    help=one.help,
                    samples=[(dict(labels), series.value) for labels, series in one.series.items()],
                )
                for one in self._sent.values()
            ]
            dropped, count = dict(self._dropped), len(self._series)
        return [
            *sent,
            SentFamily(
                name=DROPPED_NAME,
                kind=Kind.COUNTER,
                help="Metrics that were sent and are not shown, by what is wrong with them",
                samples=[({"reason": str(reason)}, number) for reason, number in dropped.items()],
            ),
            SentFamily(
                name=SERIES_NAME,
                kind=Kind.GAUGE,
                help=f"Series that are shown of what was sent, of {MOST_SERIES} at most",
                samples=[({}, count)],
            ),
        ]

    # -- serving ---------------------------------------------------------------------------

    def serve(
        self, address: str = "127.0.0.1:9465", *, token: str = "", allow_remote: bool = False
    ) -> str:
        """Shows everything to Prometheus at http://address/metrics until `stop`; answers the URL.

        Other hosts are served only with a `token`, or when `allow_remote` says that anybody may
        read it. Raises ValueError for an address that is none or open to all, ConfigurationError
        without Prometheus' client library, OSError when it cannot listen.
        """
        try:
            listen = ListenAddress.parse(address)
        except ValueError as error:
            raise ValueError(f"address {address!r} {error}") from error
        if not (listen.is_local or token or allow_remote):
            raise ValueError(
                f"address {address} is open to other hosts; give a token, or allow_remote=True if "
                "anybody may read it"
            )
        from fixwurx_celery.metrics.prometheus import BusCollector, ClusterCollector, page_of

        collectors: list[Any] = [BusCollector(self)]
        if self._readings:
            collectors.append(ClusterCollector(self._readings))
        self.stop()
        server = MetricsServer(listen, page_of(*collectors), token)
        server.start()
        self._server = server
        return f"http://{server.address}/metrics"

    def stop(self) -> None:
        """Shows nothing to anybody any more. Harmless to repeat."""
        server, self._server = self._server, None
        if server:
            server.stop()


def _labels(tags: Mapping[Any, Any]) -> tuple[tuple[str, str], ...]:
    """The tags as labels, in an order of their own. An empty one is none, as to Prometheus."""
    labels: dict[str, str] = {}
    for name, value in sorted((str(name), value) for name, value in tags.items()):
        text = label_value(value)
        if name and text:
            labels[free_name(label_name(name), labels)] = text
    return tuple(sorted(labels.items()))


def _written(labels: Iterable[tuple[str, str]]) -> str:
    return ",".join(f"{name}={value}" for name, value in labels)
