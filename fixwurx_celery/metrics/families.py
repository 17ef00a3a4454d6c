"""Every metric of the cluster: its name, what it means, and where it is read.

Counters are the store's own tallies, so they do not depend on who looks, or when. The number of
series is bounded whatever happens: nodes by MOST_NODES, classes by MOST_CLASSES, all other labels
by closed vocabularies.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from fixwurx_celery import __version__
from fixwurx_celery.domain.bugs import OTHER, BugState, Outcome
from fixwurx_celery.domain.nodes import LaunchStage, WorkerState
from fixwurx_celery.metrics.readings import Reading
from fixwurx_celery.store.measurement import Duration, Line, Measurement, NodeReading

__all__ = ["FAMILIES", "MOST_CLASSES", "OTHERS", "UP", "Family", "Kind"]

MOST_CLASSES: Final = 32
"""Classes of waiting bugs that have series of their own: those of which the most wait."""
OTHERS: Final = "(others)"
"""The label of all nodes, or classes, that have no series of their own."""

Labelled = tuple[tuple[str, ...], float | Duration]
"""The values of the labels, and the value: a Duration for a histogram."""


class Kind(StrEnum):
    """What may be asked of it."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric: `values` reads its series."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    values: Callable[[Reading], Iterable[Labelled]]


def _gauge(name: str, read: Callable[[Measurement], float | None], help_: str) -> Family:
    """One value, or none where there is nothing to say."""

    def values(reading: Reading) -> Iterable[Labelled]:
        value = read(reading.measured)
        return () if value is None else [((), value)]

    return Family(name=name, kind=Kind.GAUGE, help=help_, values=values)


def _seconds(name: str, read_ms: Callable[[Measurement], int | None], help_: str) -> Family:
    """As a gauge, of a number of ms."""

    def read(measured: Measurement) -> float | None:
        ms = read_ms(measured)
        return None if ms is None else ms / 1000

    return _gauge(name, read, help_)


def _node_gauge(
    name: str,
    read: Callable[[NodeReading], float],
    help_: str,
    in_all: Callable[[Measurement], float] | None = None,
) -> Family:
    """One value a node; of those left out their sum, where it is known in all."""

    def values(reading: Reading) -> Iterable[Labelled]:
        measured = reading.measured
        told = [((node.worker_id,), read(node)) for node in measured.nodes]
        if in_all and measured.live_nodes > len(told):
            told.append(((OTHERS,), in_all(measured) - sum(value for _, value in told)))
        return told

    return Family(name=name, kind=Kind.GAUGE, help=help_, labels=("node",), values=values)


def _counter(name: str, tally: str, help_: str) -> Family:
    """A tally of the store."""

    def values(reading: Reading) -> Iterable[Labelled]:
        return [((), reading.measured.tallied.get(tally, 0))]

    return Family(name=name, kind=Kind.COUNTER, help=help_, values=values)


def _counters(name: str, tally: str, label: str, known: Sequence[str], help_: str) -> Family:
    """Tallies of the store whose names go on with the value of the label. The known ones are there
    from the beginning, so that the first time is seen as a rise."""

    def values(reading: Reading) -> Iterable[Labelled]:
        tallied = reading.measured.tallied
        return [((word,), tallied.get(f"{tally}:{word}", 0)) for word in known]

    return Family(name=name, kind=Kind.COUNTER, help=help_, labels=(label,), values=values)


def _histogram(name: str, what: str, help_: str) -> Family:
    """Durations that the store tallies by bucket."""

    def values(reading: Reading) -> Iterable[Labelled]:
        return [((), reading.measured.duration(what))]

    return Family(name=name, kind=Kind.HISTOGRAM, help=help_, values=values)


# -- what needs more than a line ----------------------------------------------------------------


def _info(reading: Reading) -> Iterable[Labelled]:
    return [((reading.namespace, str(reading.measured.strategy), __version__), 1)]


def _nodes_by_state(reading: Reading) -> Iterable[Labelled]:
    states = (WorkerState.READY, WorkerState.BUSY, WorkerState.STOPPING)
    return [((str(state),), reading.measured.states.get(state, 0)) for state in states]


def _launches(reading: Reading) -> Iterable[Labelled]:
    return [((str(stage),), reading.measured.stages.get(stage, 0)) for stage in LaunchStage]


def _bugs_by_state(reading: Reading) -> Iterable[Labelled]:
    measured = reading.measured
    return [
        ((str(BugState.PENDING),), measured.waiting),
        ((str(BugState.ASSIGNED),), measured.assigned),
        ((str(BugState.RUNNING),), measured.on_runs),
    ]


def _shown_lines(measured: Measurement) -> tuple[list[Line], list[Line]]:
    """The lines that have series of their own, and the rest."""
    lines = sorted(measured.lines, key=lambda line: (-line.waiting, line.bug_class))
    return lines[:MOST_CLASSES], lines[MOST_CLASSES:]


def _waiting(reading: Reading) -> Iterable[Labelled]:
    shown, rest = _shown_lines(reading.measured)
    told: list[Labelled] = [((line.bug_class,), line.waiting) for line in shown]
    return told + ([((OTHERS,), sum(line.waiting for line in rest))] if rest else [])


def _oldest(reading: Reading) -> Iterable[Labelled]:
    shown, rest = _shown_lines(reading.measured)
    told: list[Labelled] = [((line.bug_class,), line.oldest_ms / 1000) for line in shown]
    return told + ([((OTHERS,), max(line.oldest_ms for line in rest) / 1000)] if rest else [])


ENDS: Final = (
    *((BugState.DONE, word) for word in (Outcome.FIXED, Outcome.NOT_REPRODUCED, Outcome.NOT_FIXED)),
    (BugState.DONE, OTHER),
    *((BugState.ESCALATED, word) for word in (Outcome.TIMED_OUT, Outcome.ERROR)),
    (BugState.CANCELLED, Outcome.CANCELLED),
)
"""How bugs end; others than these come of engines that a node of ours does not run."""


def _ended(reading: Reading) -> Iterable[Labelled]:
    tallied = reading.measured.tallied
    told = {(str(state), str(word)): 0 for state, word in ENDS}
    for what, count in tallied.items():
        kind, _, rest = what.partition(":")
        if kind == "ended":
            state, _, word = rest.partition(":")
            told[state, word] = count
    return list(told.items())


UP: Final = Family(
    name="fixwurx_up",
    kind=Kind.GAUGE,
    help="1 when the store answered, 0 when it did not: all other metrics are missing then",
    values=lambda _: [((), 1)],
)

FAMILIES: Final = (
    UP,
    Family(
        name="fixwurx_cluster_info",
        kind=Kind.GAUGE,
        help="Always 1; its labels say which cluster this is, and how it chooses nodes",
        labels=("namespace", "strategy", "version"),
        values=_info,
    ),
    # -- agents and nodes
    _gauge("fixwurx_agents", lambda m: m.agents, "Agents of all nodes in service"),
    _gauge("fixwurx_agents_used", lambda m: m.agents - m.free, "Agents that bugs hold"),
    _gauge(
        "fixwurx_agents_free",
        lambda m: m.free,
        "Agents that no bug holds, also on nodes that may not be given any",
    ),
    Family(
        name="fixwurx_nodes",
        kind=Kind.GAUGE,
        help="Nodes in service: READY has free agents, BUSY has none, STOPPING drains",
        labels=("state",),
        values=_nodes_by_state,
    ),
    _gauge(
        "fixwurx_nodes_ejected",
        lambda m: m.ejected,
        "Nodes in service whose health is too low: they are given single probes only",
    ),
    _gauge(
        "fixwurx_nodes_wanted",
        lambda m: m.scaling and m.scaling.wanted,
        "Nodes that the last scaling decision wanted",
    ),
    _gauge(
        "fixwurx_nodes_min",
        lambda m: m.scaling and m.scaling.min_workers,
        "Nodes that scaling keeps at least",
    ),
    _gauge(
        "fixwurx_nodes_max",
        lambda m: m.scaling and m.scaling.max_workers,
        "Nodes that scaling starts at most",
    ),
    _seconds(
        "fixwurx_heartbeat_age_max_seconds",
        lambda m: m.silent_ms,
        "How long ago the node in service beat that was heard longest ago",
    ),
    _node_gauge(
        "fixwurx_node_agents", lambda n: n.agents, "Agents of the node", lambda m: m.agents
    ),
    _node_gauge(
        "fixwurx_node_agents_used",
        lambda n: n.agents - n.free,
        "Agents of the node that bugs hold",
        lambda m: m.agents - m.free,
    ),
    _node_gauge(
        "fixwurx_node_agents_free",
        lambda n: n.free,
        "Agents of the node that no bug holds",
        lambda m: m.free,
    ),
    _node_gauge("fixwurx_node_bugs", lambda n: n.bugs, "Bugs that hold agents of the node"),
    _node_gauge(
        "fixwurx_node_health_ratio",
        lambda n: n.health,
        "1 is well; at 0.5 and below the node is given single probes only",
    ),
    _node_gauge(
        "fixwurx_node_heartbeat_age_seconds",
        lambda n: n.silent_ms / 1000,
        "How long ago the node beat",
    ),
    _node_gauge(
        "fixwurx_node_response_seconds",
        lambda n: n.response_s,
        "From assignment to start on the node, an exponential average",
    ),
    _counter("fixwurx_nodes_registered_total", "node_registered", "Lives of nodes that began"),
    _counter(
        "fixwurx_nodes_lost_total",
        "node_gone:lost",
        "Nodes that died, fell silent or came back as another life; their bugs went elsewhere",
    ),
    _counter(
        "fixwurx_nodes_ended_total",
        "node_gone:ended",
        "Nodes that left service of their own accord",
    ),
    _counter(
        "fixwurx_nodes_ejections_total",
        "node_ejected",
        "Times that a node was left out because its health was too low",
    ),
    # -- bugs
    Family(
        name="fixwurx_bugs",
        kind=Kind.GAUGE,
        help="Bugs that have not ended: PENDING in line or backing off, ASSIGNED to a node that "
        "has not started them yet, RUNNING (reservations too)",
        labels=("state",),
        values=_bugs_by_state,
    ),
    Family(
        name="fixwurx_bugs_waiting",
        kind=Kind.GAUGE,
        help="Bugs in line, by class: their agents and the capabilities that they require. Missing "
        "where none waits",
        labels=("class",),
        values=_waiting,
    ),
    Family(
        name="fixwurx_bugs_waiting_oldest_seconds",
        kind=Kind.GAUGE,
        help="How long the bug of the class has been in line that waits longest",
        labels=("class",),
        values=_oldest,
    ),
    _gauge(
        "fixwurx_bugs_backing_off",
        lambda m: m.delayed,
        "Bugs that wait for their next attempt after some have failed",
    ),
    _gauge("fixwurx_bugs_kept", lambda m: m.kept, "Bugs that have ended and are still shown"),
    _counter("fixwurx_bugs_submitted_total", "bug_submitted", "Bugs that were taken in"),
    _counters(
        "fixwurx_bugs_refused_total",
        "refused",
        "reason",
        ("FULL", "CLASSES", "UNSATISFIABLE"),
        "Bugs that were not: too many wait, too many classes wait, no node could ever run it",
    ),
    _counter(
        "fixwurx_bugs_retried_total", "bug_retried", "Bugs that had ended and were taken again"
    ),
    _counter("fixwurx_bugs_assigned_total", "bug_assigned", "Times that a bug was given to a node"),
    _counter("fixwurx_bugs_reserved_total", "bug_reserved", "Reservations (`allocate`)"),
    _counter("fixwurx_runs_started_total", "bug_started", "Runs of bugs that began"),
    _counter(
        "fixwurx_reports_total", "report", "Signs of life of runs: about one a second for each"
    ),
    Family(
        name="fixwurx_bugs_ended_total",
        kind=Kind.COUNTER,
        help="Bugs that ended, by state and outcome; OTHER is an answer of an engine of yours",
        labels=("state", "outcome"),
        values=_ended,
    ),
    _counter(
        "fixwurx_bugs_released_total",
        "bug_released",
        "Bugs and reservations that were released and forgotten",
    ),
    _counters(
        "fixwurx_bugs_given_back_total",
        "given_back",
        "charge",
        ("attempts", "losses", "none"),
        "Bugs that wait again because something ended their run, by what pays: attempts (their "
        "process died), losses (their node did), none (it drained, or did not start them)",
    ),
    _counter(
        "fixwurx_leases_expired_total",
        "lease_over",
        "Runs and reservations of which nothing was heard until their lease was over",
    ),
    _counter(
        "fixwurx_bells_rung_again_total",
        "bug_rung_again",
        "Assignments that had not started after FIXWURX_RING_AFTER_SEC, so that their node was "
        "told again",
    ),
    _counters(
        "fixwurx_stale_calls_total",
        "stale",
        "call",
        ("start", "report", "finish", "fail_attempt"),
        "Calls of runners that were refused because the bug is somebody else's by now",
    ),
    _histogram(
        "fixwurx_bug_wait_seconds",
        "wait",
        "From when a bug began to wait to the start of its run, once for each run",
    ),
    _histogram(
        "fixwurx_bug_start_latency_seconds",
        "answer",
        "From the assignment of a bug to the start of its run: doorbell, broker and pool",
    ),
    _histogram(
        "fixwurx_bug_run_seconds", "run", "From the start of a run to the outcome that it handed in"
    ),
    # -- scaling
    _counters(
        "fixwurx_scaling_decisions_total",
        "decision",
        "action",
        ("out", "in", "hold"),
        "Scaling decisions that were carried out",
    ),
    Family(
        name="fixwurx_launches",
        kind=Kind.GAUGE,
        help="Nodes that controllers have launched, by how far they are",
        labels=("stage",),
        values=_launches,
    ),
    _counter("fixwurx_launches_planned_total", "launch_planned", "Nodes that were to be launched"),
    _counter(
        "fixwurx_launches_failed_total",
        "launch_failed",
        "Launched nodes that went, or were removed, before they were of use",
    ),
    _counter(
        "fixwurx_provider_failures_total",
        "provider_failed",
        "Times that the provider of nodes did not answer, or refused",
    ),
    _gauge(
        "fixwurx_provider_failures_in_a_row",
        lambda m: m.provider_failures,
        "Failures of the provider and of launches since the last node that came; from three on it "
        "is asked ever more seldom",
    ),
    # -- who looks after the cluster
    _seconds(
        "fixwurx_controller_tick_age_seconds",
        lambda m: m.scaling_tick_age_ms,
        "How long ago a controller began a scaling tick. Missing where none ever did",
    ),
    _gauge(
        "fixwurx_controller_tick_interval_seconds",
        lambda m: m.scaling and m.scaling.interval_s,
        "How often there should be one (FIXWURX_SCALING_INTERVAL_SEC)",
    ),
    _seconds(
        "fixwurx_health_check_age_seconds",
        lambda m: m.health_check_age_ms,
        "How long ago a node or controller looked for things that are not where they belong",
    ),
    _counter(
        "fixwurx_mended_total",
        "mended",
        "Things that were not where the records say, and were put right",
    ),
    _counter(
        "fixwurx_silence_forgiven_total",
        "silence_forgiven",
        "Times that the store had been away or stood still, so that all time-outs began anew",
    ),
    # -- the store
    Family(
        name="fixwurx_store_round_trip_seconds",
        kind=Kind.GAUGE,
        help="How long the store took to answer what these metrics are made of",
        values=lambda reading: [((), reading.round_trip_s)],
    ),
    _gauge(
        "fixwurx_store_memory_used_bytes", lambda m: m.used_memory, "Memory that the store uses"
    ),
    _gauge(
        "fixwurx_store_memory_limit_bytes",
        lambda m: m.max_memory or None,
        "The store's maxmemory. Missing where it has none",
    ),
)
"""In the order in which they are shown."""
