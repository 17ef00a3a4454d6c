"""The real store against the model, after every step of thousands of random lives of a cluster.

Every call is sent twice, calls of those who come too late are mixed in, and the clock moves as it
likes. After each step the whole namespace must be what the model says, the invariants must hold,
and no bug may wait while a node is open to it.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fixwurx_celery.domain.bugs import Bug, BugState
from fixwurx_celery.domain.nodes import BalancingStrategy
from fixwurx_celery.errors import BugUnknown, NodeUnknown
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import Event, connect
from fixwurx_celery.store.invariants import violations
from tests.support.clock import Clock
from tests.support.compare import differences
from tests.support.model_calls import ModelCalls
from tests.support.replay import ReplayingStore
from tests.support.state import dump
from tests.support.waiting import wait_until

BUGS = st.integers(0, 11).map(lambda i: f"b{i}")
NODES = st.sampled_from(["n0", "n1", "n2", "n3"])
LIVES = st.sampled_from(["l0", "l1", "l2"])
CLASSES = st.sampled_from([(1, ""), (2, ""), (3, ""), (3, ""), (3, "gpu"), (9, ""), (12, "")])
PROFILES = st.sampled_from([(2, ""), (3, ""), (9, ""), (4, "gpu"), (9, "gpu,arm")])
PHASES = st.sampled_from(["TRIAGE", "REPRO", "ANALYZE", "VERIFY", "of my own"])
PICK = st.integers(0, 63)
TERMINAL = st.sampled_from([BugState.DONE, BugState.DONE, BugState.ESCALATED, BugState.CANCELLED])


@st.composite
def bug(draw: st.DrawFn) -> Bug:
    agents, labels = draw(CLASSES)
    return Bug(
        id=draw(BUGS),
        agents=agents,
        requires=frozenset(filter(None, [labels])),
        priority=draw(st.sampled_from([0, 0, 0, 1, -1, 1000, -1000])),
        expected_s=draw(st.sampled_from([None, None, 0.01, 5.0, 600.0, 604800.0])),
        limits=draw(st.sampled_from([{}, {}, {"waiting": 3}, {"waiting": 20}, {"run": 1}])),
    )


@dataclass(frozen=True, slots=True)
class Action:
    """A call that a step may make: how likely, with what, and when it makes sense."""

    weight: int
    given: Mapping[str, st.SearchStrategy[Any]]
    when: str


ACTIONS: dict[str, Action] = {}


def action(
    weight: int, when: str = "always", **given: st.SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """One rule among many would be left out of most runs, and a run needs most of them."""

    def note(method: Callable[..., None]) -> Callable[..., None]:
        ACTIONS[method.__name__] = Action(weight, given, when)
        return method

    return note


class Cluster(RuleBasedStateMachine):
    """Each step makes one of the store's calls, and the same on the model."""

    server_url: ClassVar[str]
    runs_done: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.settings = Settings(
            redis_url=self.server_url, namespace="model", max_waiting=7, starve_after_sec=12,
            max_attempts=3, max_losses=2, keep_finished_sec=60, total_agents=9,
        )  # fmt: skip
        client = connect(self.server_url)
        client.flushdb()
        self.store = ReplayingStore(
            client, self.settings, rng=random.Random(1), clock_ms=lambda: self.clock.now_ms
        )
        self.model = ModelCalls(self.settings)
        self.model.now_ms = self.clock.now_ms
        self.listening: dict[tuple[str, str], redis.client.PubSub] = {}  # by node and life
        self.past: list[tuple[str, str, str, int, str]] = []  # every run there ever was
        self.lives = 0
        self.seen = "0-0"
        type(self).runs_done += 1

    def teardown(self) -> None:
        for orders in self.listening.values():
            orders.close()
        self.store.close()

    def said(self) -> list[Event]:
        """What the last call wrote into the event log."""
        events = self.store.events(self.seen)
        if events:
            self.seen = events[-1].id
        return events

    def run_of(self, pick: int, *states: str) -> tuple[str, str, str, int, str]:
        """A run of a bug that is in one of these states, with the names that its calls use."""
        held = [b for b in self.model.bugs.values() if b.state in states]
        b = held[pick % len(held)]
        return (b.id, b.node, b.incarnation, b.epoch, b.runner or "r0")

    def makes_sense(self, when: str) -> bool:
        states = {b.state for b in self.model.bugs.values()}
        match when:
            case "assigned" | "running":
                return when.upper() in states
            case "held":
                return bool(states & {"ASSIGNED", "RUNNING"})
            case "known":
                return bool(states)
            case "over":
                return bool(states & {"DONE", "ESCALATED", "CANCELLED"})
            case "past":
                return bool(self.past)
            case "nodes":
                return bool(self.model.nodes)
            case _:
                return True

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        names = [
            name
            for name, known in ACTIONS.items()
            if self.makes_sense(known.when)
            for _ in range(known.weight)
        ]
        name = data.draw(st.sampled_from(names), label="call")
        given = {
            key: data.draw(strategy, label=key) for key, strategy in ACTIONS[name].given.items()
        }
        getattr(self, name)(**given)

    # -- nodes -----------------------------------------------------------------------------

    @initialize(profiles=st.lists(PROFILES, max_size=3))
    def nodes_come(self, profiles: list[tuple[int, str]]) -> None:
        for i, profile in enumerate(profiles):
            self.register(f"n{i}", "l0", profile)

    @action(3, name=NODES, life=LIVES, profile=PROFILES)
    def register(self, name: str, life: str, profile: tuple[int, str]) -> None:
        agents, text = profile
        labels = frozenset(filter(None, text.split(",")))
        answer = self.store.register(name, life, f"{agents}|{','.join(sorted(labels))}", {})
        wanted = self.model.register(name, life, agents, labels, self.listening, self.said())
        assert ("DUPLICATE" if isinstance(answer, str) else "REGISTERED") == wanted

    @action(1, "nodes", name=NODES)
    def node_listens(self, name: str) -> None:
        node = self.model.nodes.get(name)
        if node is None or (name, node.incarnation) in self.listening:
            return
        self.listening[name, node.incarnation] = self.store.listen(name, node.incarnation)
        self._await_listeners(name, node.incarnation, 1)

    @action(1, "nodes", name=NODES)
    def node_hangs_up(self, name: str) -> None:
        node = self.model.nodes.get(name)
        if node is not None and (name, node.incarnation) in self.listening:
            self.listening.pop((name, node.incarnation)).close()
            self._await_listeners(name, node.incarnation, 0)

    def _await_listeners(self, name: str, life: str, count: int) -> None:
        channel = f"{self.store.prefix}life:{name}:{life}"
        wait_until(
            f"{count} listeners of {name}",
            lambda: self.store.client.pubsub_numsub(channel)[0][1] == count,
        )

    @action(1, "nodes", name=NODES, life=LIVES, usual=st.booleans())
    def heartbeat(self, name: str, life: str, usual: bool) -> None:
        node = self.model.nodes.get(name)
        if usual and node is not None:
            life = node.incarnation
        told = self.store.heartbeat(name, life, {"load": 1})
        assert (told is not None) is self.model.heartbeat(name, life, self.listening, self.said())
        if told is not None:
            self.model.nodes[name].sick = False

    @action(2, "nodes")
    def all_beat(self) -> None:
        for node in [*self.model.nodes.values()]:
            self.heartbeat(node.name, node.incarnation, True)

    @action(1, "nodes", name=NODES, grace_s=st.sampled_from([0, 5, 30]))
    def drain(self, name: str, grace_s: int) -> None:
        try:
            count: int | None = self.store.drain(name, grace_s)[0]
        except NodeUnknown:
            count = None
        assert count == self.model.drain(name, grace_s * 1000, self.said())

    @action(1, "nodes", name=NODES)
    def resume(self, name: str) -> None:
        try:
            self.store.resume(name)
            known = True
        except NodeUnknown:
            known = False
        assert known is self.model.resume(name, self.said())

    @action(1, "nodes", name=NODES, life=LIVES)
    def retire(self, name: str, life: str) -> None:
        self.store.retire(name, life)
        self.model.retire(name, life, self.said())

    @action(
        3,
        ms=st.sampled_from([1, 250, 500, 4000, 6000, 9999, 16000, 61000, 3_600_000]),
        beat=st.booleans(),
        heard=st.booleans(),
    )
    def time_passes(self, ms: int, beat: bool, heard: bool) -> None:
        self.clock.advance(ms=ms)
        self.model.now_ms = self.clock.now_ms
        if heard:  # others swept all the while
            self.store.client.hset(f"{self.store.prefix}server", "swept_ms", self.clock.now_ms)
            self.model.swept_ms = self.clock.now_ms
        if beat:
            self.all_beat()

    @action(1, ms=st.sampled_from([-1, -30_000, -3_600_000]))
    def clock_is_set_back(self, ms: int) -> None:
        self.clock.advance(ms=ms)
        self.model.now_ms = self.clock.now_ms

    @action(4, name=NODES, life=LIVES)
    def sweep(self, name: str, life: str) -> None:
        swept = self.store.sweep(node=name, incarnation=life)
        assert swept.gone == self.model.sweep(name, life, self.listening, self.said())
        assert swept.live_nodes == sum(n.state != "OFFLINE" for n in self.model.nodes.values())

    @action(1)
    def mend(self) -> None:
        assert self.store.mend() == (0, []), "nothing was out of place"

    @action(1, strategy=st.sampled_from(BalancingStrategy))
    def set_strategy(self, strategy: BalancingStrategy) -> None:
        self.store.set_strategy(strategy)
        self.said()
        assert self.store.strategy() is strategy

    # -- bugs ------------------------------------------------------------------------------

    @action(8, bugs=st.lists(bug(), min_size=1, max_size=5))
    def submit(self, bugs: list[Bug]) -> None:
        results, _ = self.store.submit(bugs)
        wanted = self.model.submit(bugs, self.said())
        assert [result.status for result in results] == wanted

    @action(10, "assigned", pick=PICK, runner=st.sampled_from(["r0", "r1"]))
    def start(self, pick: int, runner: str) -> None:
        self._start((*self.run_of(pick, "ASSIGNED")[:4], runner))

    def _start(self, run: tuple[str, str, str, int, str]) -> None:
        answer = self.store.start(*run)
        self.said()
        assert (answer if isinstance(answer, str) else "STARTED") == self.model.start(*run)
        if not isinstance(answer, str):
            self.past.append(run)
            assert answer.run == self.model.bugs[run[0]].runs

    @action(2, "running", pick=PICK, phase=PHASES)
    def report(self, pick: int, phase: str) -> None:
        self._report(self.run_of(pick, "RUNNING"), phase)

    def _report(self, run: tuple[str, str, str, int, str], phase: str) -> None:
        answer = self.store.report(*run, phase=phase, checkpoint="[1]", log="line\n")
        self.said()
        assert answer == self.model.report(*run, phase)

    @action(6, "running", pick=PICK, state=TERMINAL)
    def finish(self, pick: int, state: BugState) -> None:
        self._finish(self.run_of(pick, "RUNNING"), state)

    def _finish(self, run: tuple[str, str, str, int, str], state: BugState) -> None:
        answer = self.store.finish(*run, state, {"outcome": "FIXED"})
        wanted = self.model.finish(*run, state, self.said())
        assert ("STALE" if answer is None else "FINISHED") == wanted

    @action(5, "held", pick=PICK, charge=st.sampled_from(["attempts", "attempts", "losses", ""]))
    def fail_attempt(self, pick: int, charge: str) -> None:
        self._fail(self.run_of(pick, "ASSIGNED", "RUNNING", "RUNNING"), charge)

    def _fail(self, run: tuple[str, str, str, int, str], charge: str) -> None:
        status, _ = self.store.fail_attempt(*run[:4], charge, "its process died")
        assert status == self.model.fail_attempt(*run[:4], charge, self.said())

    @action(
        4, "past", pick=PICK, act=st.sampled_from(["start", "report", "finish", "fail"]), life=LIVES
    )
    def somebody_comes_late(self, pick: int, act: str, life: str) -> None:
        # Those whose bug the same life of the node holds again are told apart by the epoch alone.
        again = [
            run
            for run in self.past
            if (b := self.model.bugs.get(run[0])) is not None
            and (b.node, b.incarnation) == run[1:3]
            and b.epoch != run[3]
            and b.state in ("ASSIGNED", "RUNNING")
        ]
        runs = again or self.past
        run = runs[pick % len(runs)]
        if pick % 5 == 0:
            run = (run[0], run[1], life, *run[3:])
        if pick % 7 == 0:
            run = (*run[:4], "another runner")
        match act:
            case "start":
                self._start(run)
            case "report":
                self._report(run, "VERIFY")
            case "finish":
                self._finish(run, BugState.ESCALATED)
            case _:
                self._fail(run, "attempts")

    @action(3, "known", bug_id=BUGS)
    def cancel(self, bug_id: str) -> None:
        self._same(
            lambda: self.store.cancel(bug_id)[0], lambda: self.model.cancel(bug_id, self.said())
        )

    @action(2, "known", bug_id=BUGS)
    def release(self, bug_id: str) -> None:
        self._same(
            lambda: self.store.release(bug_id)[0], lambda: self.model.release(bug_id, self.said())
        )

    @action(2, "over", bug_id=BUGS)
    def retry(self, bug_id: str) -> None:
        self._same(
            lambda: self.store.retry(bug_id)[0], lambda: self.model.retry(bug_id, self.said())
        )

    def _same(self, real: Callable[[], str], model: Callable[[], str]) -> None:
        try:
            answer = real()
        except BugUnknown:
            answer = "UNKNOWN"
        assert answer == model()

    @action(2, bug_id=BUGS, agents=st.sampled_from([1, 3, 9]), holder=st.sampled_from(["h0", "h1"]))
    def reserve(self, bug_id: str, agents: int, holder: str) -> None:
        status, _ = self.store.reserve(bug_id, f"{agents}|", holder)
        assert status == self.model.reserve(bug_id, agents, holder, self.said())

    @action(
        1,
        "known",
        bug_ids=st.lists(BUGS, max_size=4, unique=True),
        holder=st.sampled_from(["h0", "h1"]),
    )
    def renew(self, bug_ids: list[str], holder: str) -> None:
        lost = self.store.renew(bug_ids, holder)
        assert lost == self.model.renew(bug_ids, holder)

    # -- after every step ------------------------------------------------------------------

    @invariant()
    def the_store_is_what_the_model_says(self) -> None:
        self.said()
        found = dump(self.store)
        self._adopt_ejections(found)
        assert differences(found, self.model) == []
        assert self.model.idle() == []
        assert violations(self.store) == []

    def _adopt_ejections(self, found: dict[str, Any]) -> None:
        """Health is measured, not modelled: who is out is taken from the store, within bounds."""
        out = found.get("ejected", set())
        assert 2 * len(out) <= len(found.get("nodes", {})), f"{out} are too many to leave out"
        for name in out:
            node = self.model.nodes[name]
            node.sick = True
            if found.get("starving", {}).get(node.kept_for) != name:
                node.kept_for = ""


@pytest.fixture
def machine(redis_url: str) -> type[Cluster]:
    """The machine on a database of its own, which it empties before each run."""
    address, _, _ = redis_url.rpartition("/")

    class Here(Cluster):
        server_url = f"{address}/9"

    Here.runs_done = 0
    return Here


def explore(machine: type[Cluster], runs: int, steps: int, *phases: Phase) -> None:
    machine.TestCase.settings = settings(
        max_examples=runs, stateful_step_count=steps, deadline=None,
        suppress_health_check=list(HealthCheck), print_blob=True, phases=phases or tuple(Phase),
    )  # fmt: skip
    machine.TestCase("runTest").runTest()
    assert machine.runs_done >= runs


def test_the_store_behaves_as_the_model(machine: type[Cluster]) -> None:
    explore(machine, 60, 40)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_store_behaves_as_the_model_500_runs_of_40_steps(machine: type[Cluster]) -> None:
    explore(machine, 500, 40)
