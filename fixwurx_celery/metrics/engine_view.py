"""The cluster as FixWurx's SystemMonitor looks at an engine.

monitor = SystemMonitor(ClusterEngineView(connection), MetricBus(connection))
monitor.emit_tick()
"""

import math
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.errors import StoreUnavailable
from fixwurx_celery.metrics.readings import Readings
from fixwurx_celery.store import Event
from fixwurx_celery.store.measurement import Measurement

if TYPE_CHECKING:
    from fixwurx_celery.cluster import ClusterResourceManager, Connection

__all__ = ["ClusterEngineView"]

MOST_NODES: Final = 1_000
MOST_EVENTS: Final = 5_000
"""Read at once; when more have happened since the last time, the newest are."""
MOST_ERRORS: Final = 100
RECENT_S: Final = 900.0
ENDED: Final = "node ended"
"""How a node goes that was told to: no error."""

ERRORS: Final[Mapping[str, tuple[str, str, str]]] = {
    "node_lost": ("nodes", "error", "node {node} was lost"),
    "node_ejected": ("nodes", "warning", "node {node} is given single probes only, its health is"),
    "provider_failed": ("provider", "error", "the provider of nodes failed"),
    "launch_failed": ("provider", "warning", "node {node} was launched in vain"),
    "bug_escalated": ("bugs", "error", "bug {bug} was given up"),
    "bug_finished": ("bugs", "error", "bug {bug} ended without an answer"),
    "mended": ("store", "warning", "something was not where the records say"),
    "silence_forgiven": ("store", "warning", "the store was away or stood still"),
}
"""Events that tell of trouble: the component, how bad it is, and what to say before the detail."""


class ClusterEngineView:
    """What a SystemMonitor reads of its engine, read from the store. Thread-safe.

    Every answer is at most a second old. While the store is away, answers are those before, and
    `error_state` says so: a monitor must not end the program that it watches.
    """

    def __init__(self, cluster: "Connection | ClusterResourceManager") -> None:
        """Connects when first asked."""
        self._readings = Readings.of_cluster(cluster, most_nodes=MOST_NODES)
        self._lock = threading.Lock()
        self._last: Measurement | None = None
        self._ticks = 0
        self._after = ""
        self._errors: dict[str, deque[dict[str, Any]]] = {}

    @property
    def tick_count(self) -> int:
        """Runs that began and signs of life that they gave since, about one a second for each bug
        that runs: it grows while bugs are worked on, stands still while none is, and never falls.
        Ticks of the engines themselves are not counted anywhere."""
        measured = self._look()
        if measured:
            ticks = measured.tallied.get("bug_started", 0) + measured.tallied.get("report", 0)
            self._ticks = max(self._ticks, ticks)
        return self._ticks

    @property
    def scope_entropy(self) -> float:
        """How much is still unknown, in bits: log2(1 + n) while n bugs are open, so 0 when none is,
        and one bit less each time that half of them have ended."""
        measured = self._look()
        return math.log2(1 + measured.open_bugs) if measured else 0.0

    @property
    def agent_utilization(self) -> dict[str, float]:
        """Node in service → the share of its agents that bugs hold, 0 to 1; of the first thousand
        nodes by name."""
        measured = self._look()
        nodes = measured.nodes if measured else ()
        return {node.worker_id: (node.agents - node.free) / max(1, node.agents) for node in nodes}

    @property
    def planner_metrics(self) -> dict[str, float]:
        """Nothing: the cluster has no planner."""
        return {}

    @property
    def error_state(self) -> dict[str, list[dict[str, Any]]]:
        """Component → its troubles of the last 15 minutes, the oldest first, at most a hundred:
        each with `message`, `severity` (warning, error or critical), `timestamp` (s since 1970, by
        the store's clock) and `context`. A component without trouble is missing."""
        reading = self._readings.latest()
        with self._lock:
            try:
                if reading is None:
                    raise StoreUnavailable("the store does not answer")
                self._follow()
            except StoreUnavailable as error:
                told = self._recent(time.time())
                told["store"] = [*told.get("store", []), _away(error)]
                return told
            return self._recent(reading.measured.now_ms / 1000)

    def _look(self) -> Measurement | None:
        """The newest look, or while the store is away the last."""
        reading = self._readings.latest()
        if reading:
            self._last = reading.measured
        return self._last

    def _follow(self) -> None:
        store = self._readings.store
        events = store.events(self._after, most=MOST_EVENTS) if self._after else []
        if not self._after or len(events) == MOST_EVENTS:
            events = store.last_events(MOST_EVENTS)
        for event in events:
            if error := _error(event):
                component, told = error
                self._errors.setdefault(component, deque(maxlen=MOST_ERRORS)).append(told)
        if events:
            self._after = events[-1].id

    def _recent(self, now_s: float) -> dict[str, list[dict[str, Any]]]:
        found = {
            component: [one for one in errors if one["timestamp"] >= now_s - RECENT_S]
            for component, errors in self._errors.items()
        }
        return {component: errors for component, errors in found.items() if errors}


def _away(error: StoreUnavailable) -> dict[str, Any]:
    return {
        "message": str(error),
        "severity": "critical",
        "timestamp": time.time(),
        "context": {},
    }


def _error(event: Event) -> tuple[str, dict[str, Any]] | None:
    """The component, and what is told of it; None for an event that tells of no trouble."""
    if event.action not in ERRORS or event.detail == ENDED:
        return None
    if event.action == "bug_finished" and event.detail != BugState.ESCALATED:
        return None
    component, severity, words = ERRORS[event.action]
    message = words.format(node=event.node, bug=event.bug)
    context = {"action": event.action, "bug": event.bug, "node": event.node, "epoch": event.epoch}
    return component, {
        "message": f"{message}: {event.detail}" if event.detail else message,
        "severity": severity,
        "timestamp": event.at_ms / 1000,
        "context": {name: value for name, value in context.items() if value},
    }
