"""The real store against the model, after every step of thousands of random lives of a cluster.

Every call is sent twice, and may come again at any later time. Callers die before they ring,
doorbells are lost, late and doubled, the clock moves as it likes, and the store loses its last
steps. After each step the whole namespace must be what the model says, the event log alone must
tell where everything is, the invariants must hold, and no bug may wait while a node is open to it.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from typing import Any, ClassVar

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fixwurx_celery.domain.bugs import Assignment, Bug, BugState
from fixwurx_celery.domain.nodes import BalancingStrategy, WorkerState
from fixwurx_celery.errors import BugUnknown, NodeUnknown
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import Event, connect
from fixwurx_celery.store.event_log import whole_log
from fixwurx_celery.store.history import History, check
from fixwurx_celery.store.invariants import violations
from tests.support.clock import Clock
from tests.support.compare import differences
from tests.support.model import ModelNode
from tests.support.model_calls import ModelCalls
from tests.support.replay import ReplayingStore
from tests.support.rollback import Saved, restore, save
from tests.support.state import dump
from tests.support.steps import ACTIONS, action, call
from tests.support.waiting import wait_until

BUGS = st.integers(0, 11).map(lambda i: f"b{i}")
NODES = st.sampled_from(["n0", "n1", "n2", "n3"])
LIVES = st.sampled_from(["l0", "l1", "l2"])
CLASSES = st.sampled_from([(1, ""), (2, ""), (3, ""), (3, ""), (3, "gpu"), (9, ""), (12, "")])
PROFILES = st.sampled_from([(2, ""), (3, ""), (9, ""), (4, "gpu"), (9, "gpu,arm")])
PHASES = st.sampled_from(["TRIAGE", "REPRO", "ANALYZE", "VERIFY", "of my own"])
PICK = st.integers(0, 63)
PRIORITIES = st.sampled_from([-1000, -1, 0, 0, 1, 1000])
NO_TICK = (0, -1_000_000, True)
"""Term, when it was claimed, and whether it has ended."""
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


def shown_state(node: ModelNode) -> WorkerState:
    """A node that is READY and has no free agent is shown as BUSY."""
    return WorkerState.BUSY if (node.state, node.free) == ("READY", 0) else WorkerState(node.state)


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
        self.calls: list[tuple[str, Any, Any]] = []  # likewise every call
        self.bells: list[Assignment] = []  # messages in the broker
        self.caller_dies = self.is_sound = False
        self.steps = self.lost_until_ms = 0
        self.tick = NO_TICK  # the last one
        self.terms: list[int] = []  # of every one there ever was
        self.raw = redis.Redis.from_url(self.server_url)
        self.saved: tuple[Saved, ModelCalls, tuple[int, int, bool]] | None = None
        self.seen, self.history = "0-0", History()
        type(self).runs_done += 1

    def teardown(self) -> None:
        try:
            if self.is_sound:
                self.what_was_never_rung_is_rung_again()
        finally:
            for orders in self.listening.values():
                orders.close()
            self.raw.close()
            self.store.close()

    def said(self, to_ring: Sequence[Assignment] = ()) -> list[Event]:
        """What the last call wrote into the event log, lawful all of it.

        The call answered `to_ring`: every assignment that it made, and those to ring again. A
        caller that dies now rings for none of them.
        """
        events = list(whole_log(self.store, self.seen))
        for event in events:
            assert self.history.feed(event) == []
            self.seen = event.id
        made = Counter(
            Assignment(event.node, event.bug, int(event.epoch))
            for event in events
            if event.action in ("bug_assigned", "bug_rung_again")
        )
        assert made <= Counter(to_ring), f"{made} were made, {to_ring} are to be rung"
        if not self.caller_dies:
            self.bells += to_ring
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
            case "past" | "calls" | "bells" | "terms" | "saved":
                return bool(getattr(self, when))
            case "nodes":
                return bool(self.model.nodes)
            case _:
                return True

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        names = [
            name
            for name, known in sorted(ACTIONS.items(), key=lambda item: -item[1].weight)
            if self.makes_sense(known.when)
            for _ in range(known.weight)
        ]
        name = data.draw(st.sampled_from(names), label="call")
        given = {
            key: data.draw(strategy, label=key) for key, strategy in ACTIONS[name].given.items()
        }
        self.is_sound = False
        self.caller_dies = data.draw(st.integers(0, 9), label="dies at 9") == 9
        self.steps += 1
        if self.steps % 8 == 0:  # what the store did until now is safe
            self.saved = (save(self.raw), deepcopy(self.model), self.tick)
        getattr(self, name)(**given)

    @action(2, "calls", pick=st.integers(0, 999))
    def an_old_call_comes_again(self, pick: int) -> None:
        name, args, given = self.calls[pick % len(self.calls)]
        getattr(self, name)(*args, **given)

    # -- nodes -----------------------------------------------------------------------------

    @initialize(profiles=st.lists(PROFILES, max_size=3))
    def nodes_come(self, profiles: list[tuple[int, str]]) -> None:
        for i, profile in enumerate(profiles):
            self.register(f"n{i}", "l0", profile)

    @action(3, name=NODES, life=LIVES, profile=PROFILES)
    @call
    def register(self, name: str, life: str, profile: tuple[int, str]) -> None:
        agents, text = profile
        labels = frozenset(filter(None, text.split(",")))
        answer = self.store.register(name, life, f"{agents}|{','.join(sorted(labels))}", {})
        events = self.said(() if isinstance(answer, str) else answer)
        wanted = self.model.register(name, life, agents, labels, self.listening, events)
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
        self._beat(name, life)

    @call
    def _beat(self, name: str, life: str) -> None:
        told = self.store.heartbeat(name, life, {"load": 1})
        events = self.said(told.assignments if told else ())
        assert (told is not None) is self.model.heartbeat(name, life, self.listening, events)
        if told is not None:
            self.model.nodes[name].sick = False

    @action(2, "nodes")
    def all_beat(self) -> None:
        for node in [*self.model.nodes.values()]:
            self.heartbeat(node.name, node.incarnation, True)

    @action(2, "nodes", name=NODES, grace_s=st.sampled_from([0, 5, 30]))
    @call
    def drain(self, name: str, grace_s: int) -> None:
        count, to_ring = None, list[Assignment]()
        with suppress(NodeUnknown):
            count, to_ring = self.store.drain(name, grace_s)
        assert count == self.model.drain(name, grace_s * 1000, self.said(to_ring))

    @action(2, "nodes", name=NODES)
    @call
    def resume(self, name: str) -> None:
        to_ring = None
        with suppress(NodeUnknown):
            to_ring = self.store.resume(name)
        assert (to_ring is not None) is self.model.resume(name, self.said(to_ring or ()))

    @action(1, "nodes", name=NODES, life=LIVES)
    @call
    def retire(self, name: str, life: str) -> None:
        to_ring = self.store.retire(name, life)
        self.model.retire(name, life, self.said(to_ring or ()))

    @action(
        3,
        ms=st.sampled_from([1, 250, 500, 4000, 6000, 9999, 16000, 61000, 3_600_000]),
        beat=st.booleans(),
        heard=st.booleans(),
    )
    def time_passes(self, ms: int, beat: bool, heard: bool) -> None:
        self._pass(ms)
        if heard:  # others swept all the while
            self.store.client.hset(f"{self.store.prefix}server", "swept_ms", self.clock.now_ms)
            self.model.swept_ms = self.clock.now_ms
        if beat:
            self.all_beat()

    def _pass(self, ms: int) -> None:
        self.clock.advance(ms=ms)
        self.model.now_ms = self.clock.now_ms

    @action(1, ms=st.sampled_from([-1, -30_000, -3_600_000]))
    def clock_is_set_back(self, ms: int) -> None:
        """Not to before what the store lost: those two at once are more than it can stand."""
        self._pass(max(ms, min(0, self.lost_until_ms - self.clock.now_ms)))

    @action(6, name=NODES, life=LIVES)
    def sweep(self, name: str, life: str) -> None:
        swept = self.store.sweep(node=name, incarnation=life)
        events = self.said(swept.assignments)
        assert swept.gone == self.model.sweep(name, life, self.listening, events)
        assert swept.live_nodes == sum(n.state != "OFFLINE" for n in self.model.nodes.values())

    @action(1)
    def mend(self) -> None:
        assert self.store.mend() == (0, []), "nothing was out of place"

    @action(3, holder=st.sampled_from(["h0", "h1"]))
    @call
    def claim_tick(self, holder: str) -> None:
        term = self.store.claim_tick("health_check", holder, 10_000)
        self.said()
        _, at_ms, has_ended = self.tick
        is_due = not 0 <= self.clock.now_ms - at_ms < (9000 if has_ended else 1000)
        assert (term is not None) is is_due
        if term is not None:
            assert term > max(self.terms, default=0)
            self.tick = (term, self.clock.now_ms, False)
            self.terms.append(term)

    @action(1, "terms", pick=PICK)
    def end_tick(self, pick: int) -> None:
        term = self.terms[-1 - pick % len(self.terms)]
        last, at_ms, _ = self.tick
        assert self.store.end_tick("health_check", term) is (term == last)
        if term == last:
            self.tick = (term, at_ms, True)

    # -- the store -------------------------------------------------------------------------

    @action(3, "saved")
    def the_store_restarts_without_what_came_later(self) -> None:
        """Everybody else goes on with what they remember: lives, runs, terms, calls and bells."""
        assert self.saved is not None
        keys, model, self.tick = self.saved
        restore(self.raw, keys)
        epochs, self.model = self.model.highest, deepcopy(model)
        self.model.highest = epochs
        # It is away for longer than what it lost took.
        newest_us = max([0, *epochs.values(), *self.terms])
        self.lost_until_ms = newest_us // 1000 + 1
        self._pass(max(1000, self.lost_until_ms - self.clock.now_ms))
        if self.model.swept_ms is not None:
            self.raw.hset(f"{self.store.prefix}server", "run_id", "another")
            self.model.is_another_server = True
        self.seen, self.history = "0-0", History()
        for event in whole_log(self.store):
            assert self.history.feed(event) == []
            self.seen = event.id

    @action(1, strategy=st.sampled_from(BalancingStrategy))
    @call
    def set_strategy(self, strategy: BalancingStrategy) -> None:
        self.store.set_strategy(strategy)
        self.said()
        assert self.store.strategy() is strategy

    # -- bugs ------------------------------------------------------------------------------

    @action(8, bugs=st.lists(bug(), min_size=1, max_size=5))
    @call
    def submit(self, bugs: list[Bug]) -> None:
        results, to_ring = self.store.submit(bugs)
        wanted = self.model.submit(bugs, self.said(to_ring))
        assert [result.status for result in results] == wanted

    @action(16, "bells", pick=PICK, runner=st.sampled_from(["r0", "r1"]))
    def a_bell_is_heard(self, pick: int, runner: str) -> None:
        """In any order; some are heard twice, and some when it is too late."""
        due = [bell for bell in self.bells if self._is_assigned(bell) and pick % 8]
        bells = due or self.bells
        bell = bells[pick % len(bells)]
        if pick % 4:
            self.bells.remove(bell)
        node = self.model.nodes.get(bell.worker_id)
        life = node.incarnation if node else "l0"
        self._start((bell.bug_id, bell.worker_id, life, bell.epoch, runner))

    def _is_assigned(self, bell: Assignment) -> bool:
        bug = self.model.bugs.get(bell.bug_id)
        return bug is not None and bug.state is BugState.ASSIGNED and bug.epoch == bell.epoch

    @call
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

    @call
    def _report(self, run: tuple[str, str, str, int, str], phase: str) -> None:
        answer = self.store.report(*run, phase=phase, checkpoint="[1]", log="line\n")
        self.said()
        assert answer == self.model.report(*run, phase)

    @action(10, "running", pick=PICK, state=TERMINAL)
    def finish(self, pick: int, state: BugState) -> None:
        self._finish(self.run_of(pick, "RUNNING"), state)

    @call
    def _finish(self, run: tuple[str, str, str, int, str], state: BugState) -> None:
        answer = self.store.finish(*run, state, {"outcome": "FIXED"})
        wanted = self.model.finish(*run, state, self.said(answer or ()))
        assert ("STALE" if answer is None else "FINISHED") == wanted

    @action(5, "held", pick=PICK, charge=st.sampled_from(["attempts", "attempts", "losses", ""]))
    def fail_attempt(self, pick: int, charge: str) -> None:
        self._fail(self.run_of(pick, "ASSIGNED", "RUNNING", "RUNNING"), charge)

    @call
    def _fail(self, run: tuple[str, str, str, int, str], charge: str) -> None:
        status, to_ring = self.store.fail_attempt(*run[:4], charge, "its process died")
        assert status == self.model.fail_attempt(*run[:4], charge, self.said(to_ring))

    @action(
        7, "past", pick=PICK, act=st.sampled_from(["start", "report", "finish", "fail"]), life=LIVES
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

    @action(4, "known", bug_id=BUGS)
    @call
    def cancel(self, bug_id: str) -> None:
        self._same(self.store.cancel, self.model.cancel, bug_id)

    @action(3, "known", bug_id=BUGS, priority=PRIORITIES)
    @call
    def prioritise(self, bug_id: str, priority: int) -> None:
        assert self.store.prioritise({bug_id: priority}) == self.model.prioritise(bug_id, priority)

    @action(3, "known", bug_id=BUGS)
    @call
    def release(self, bug_id: str) -> None:
        self._same(self.store.release, self.model.release, bug_id)

    @action(5, "over", bug_id=BUGS)
    @call
    def retry(self, bug_id: str) -> None:
        self._same(self.store.retry, self.model.retry, bug_id)

    def _same(
        self,
        real: Callable[[str], tuple[str, list[Assignment]]],
        model: Callable[[str, list[Event]], str],
        bug_id: str,
    ) -> None:
        answer, to_ring = "UNKNOWN", list[Assignment]()
        with suppress(BugUnknown):
            answer, to_ring = real(bug_id)
        assert answer == model(bug_id, self.said(to_ring))

    @action(2, bug_id=BUGS, agents=st.sampled_from([1, 3, 9]), holder=st.sampled_from(["h0", "h1"]))
    @call
    def reserve(self, bug_id: str, agents: int, holder: str) -> None:
        status, _ = self.store.reserve(bug_id, f"{agents}|", holder)
        assert status == self.model.reserve(bug_id, agents, holder, self.said())

    @action(
        1,
        "known",
        bug_ids=st.lists(BUGS, max_size=4, unique=True),
        holder=st.sampled_from(["h0", "h1"]),
    )
    @call
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
        self.is_sound = True

    @invariant()
    def the_event_log_alone_tells_where_everything_is(self) -> None:
        live = {name: bug for name, bug in self.model.bugs.items() if bug.finished_ms is None}
        assert {
            name: (seen.state, seen.node, seen.epoch, seen.agents)
            for name, seen in self.history.bugs.items()
        } == {name: (bug.state, bug.node, bug.epoch, bug.agents) for name, bug in live.items()}
        assert {
            name: (str(seen.state), seen.held) for name, seen in self.history.nodes.items()
        } == {name: (node.state, node.held) for name, node in self.model.nodes.items()}

    @invariant()
    def monitoring_shows_what_the_model_says(self) -> None:
        measured = self.store.measure(10)
        live = {name: node for name, node in self.model.nodes.items() if node.state != "OFFLINE"}
        states = Counter(shown_state(node) for node in live.values())
        in_state = Counter(bug.state for bug in self.model.bugs.values())
        backing_off = sum(bug.due_ms is not None for bug in self.model.bugs.values())
        assert measured.agents == sum(node.agents for node in live.values())
        assert measured.free == sum(node.free for node in live.values())
        assert Counter(measured.states) == states
        assert {
            one.worker_id: (one.state, one.agents, one.free, one.bugs) for one in measured.nodes
        } == {
            name: (shown_state(node), node.agents, node.free, len(node.held))
            for name, node in live.items()
        }
        assert {line.bug_class: (line.waiting, line.oldest_ms) for line in measured.lines} == {
            name: (len(line), max(0, self.clock.now_ms - min(bug.waiting_ms for bug in line)))
            for name, line in self.model.lines().items()
        }
        assert measured.delayed == backing_off
        assert measured.assigned == in_state[BugState.ASSIGNED]
        assert measured.on_runs == in_state[BugState.RUNNING] + in_state[BugState.RESERVED]
        happened = Counter(event.action for event in whole_log(self.store))
        assert {what: measured.tallied.get(what) for what in happened} == happened

    def what_was_never_rung_is_rung_again(self) -> None:
        """Whoever died: what is assigned to a node that beats is rung within a sweep."""
        self.caller_dies = False
        bells_ms = [bug.bell_ms or 0 for bug in self.model.bugs.values()]
        self._pass(max([5000, *(at_ms - self.clock.now_ms for at_ms in bells_ms)]))
        self.all_beat()
        self.sweep("nobody", "l0")
        rung = set(self.bells)
        for bug in self.model.bugs.values():
            if bug.state is BugState.ASSIGNED:
                assert Assignment(bug.node, bug.id, bug.epoch) in rung, f"nobody rings for {bug}"
        assert check(whole_log(self.store)) == []

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
