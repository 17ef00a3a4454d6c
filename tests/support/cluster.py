"""Builders: nodes, bugs and running bugs in a few words."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fixwurx_celery.domain.bugs import Assignment, Bug, BugState, class_name
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.records import Started
from tests.support.clock import Clock


@dataclass(frozen=True, slots=True)
class Life:
    """One life of a node."""

    node: str
    incarnation: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a bug: all that its calls must name."""

    bug: str
    node: str
    incarnation: str
    epoch: int
    runner: str


def bug(id_: str, agents: int = 3, requires: Iterable[str] = (), **given: object) -> Bug:
    """A bug with an empty payload."""
    return Bug(id=id_, agents=agents, requires=frozenset(requires), **given)  # type: ignore[arg-type]


def node(
    store: ClusterStore, name: str, agents: int = 9, labels: Iterable[str] = (), life: str = ""
) -> tuple[Life, list[Assignment]]:
    """Registers a node; its life, and what it was handed at once."""
    life = life or uuid.uuid4().hex
    answer = store.register(name, life, class_name(agents, frozenset(labels)), {})
    assert not isinstance(answer, str), f"{name} is a duplicate of {answer}"
    return Life(name, life), answer


def nodes(
    store: ClusterStore, count: int, agents: int = 9, labels: Iterable[str] = ()
) -> list[Life]:
    """Nodes n0, n1, ..."""
    return [node(store, f"n{i}", agents, labels)[0] for i in range(count)]


def start(store: ClusterStore, assignment: Assignment, life: Life, runner: str = "r1") -> Run:
    """Starts the assignment; fails when the store refuses."""
    run = Run(assignment.bug_id, life.node, life.incarnation, assignment.epoch, runner)
    answer = store.start(run.bug, run.node, run.incarnation, run.epoch, run.runner)
    assert isinstance(answer, Started), f"{run.bug} did not start: {answer}"
    return run


def running(store: ClusterStore, life: Life, *bugs: Bug) -> list[Run]:
    """Submits the bugs, and starts each on that node; fails when one went elsewhere."""
    _, assigned = store.submit(bugs)
    return [start(store, assignment, life, f"r-{assignment.bug_id}") for assignment in assigned]


def finish(store: ClusterStore, run: Run, state: BugState = BugState.DONE) -> Sequence[Assignment]:
    """Ends the run; fails when the store takes it for stale."""
    answer = store.finish(
        run.bug, run.node, run.incarnation, run.epoch, run.runner, state, {"outcome": "FIXED"}
    )
    assert answer is not None, f"{run.bug} is somebody else's"
    return answer


def pass_time(store: ClusterStore, clock: Clock, s: float) -> list[str]:
    """Lets time pass while somebody sweeps, as the nodes of a cluster do; who is gone after it."""
    gone: list[str] = []
    until_ms = clock.now_ms + int(s * 1000)
    while clock.now_ms < until_ms:
        clock.advance(ms=min(2000, until_ms - clock.now_ms))
        gone += store.sweep().gone
    return gone


def fail(
    store: ClusterStore, run: Run, charge: str = "attempts", reason: str = "its process died"
) -> tuple[str, list[Assignment]]:
    """Gives the run's bug back."""
    return store.fail_attempt(run.bug, run.node, run.incarnation, run.epoch, charge, reason)
