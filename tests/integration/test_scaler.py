"""The scaling tick against a real store: it launches, adopts, drains, stops, and survives.

Nodes are registered by hand and the provider is a dictionary, so that each instant can be had.
Whole nodes of real providers are in tests/providers.
"""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fixwurx_celery.cluster import Connection
from fixwurx_celery.cluster.scaler import Scaler
from fixwurx_celery.domain.bugs import Assignment, BugState
from fixwurx_celery.domain.nodes import LaunchStage
from fixwurx_celery.domain.scaling import ClusterView, ScalingDecision, decide
from fixwurx_celery.providers import ProvidedState
from fixwurx_celery.providers.local import LocalProvider
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.scaling_state import ScalingState
from tests.support.clock import Clock
from tests.support.cluster import Life, Run, bug, finish, start
from tests.support.provider import Died, FakeProvider

STEPS = ("list", "list!", "launch", "launch!", "stop", "stop!", "remove", "remove!")


class Bench:
    """A controller, the provider, the nodes, and a clock."""

    def __init__(self, settings: Settings, clock: Clock, **given: object) -> None:
        self.settings = replace(
            settings, provider="local", min_workers=0, scale_down_window_sec=60,
            scaling_interval_sec=10, lease_sec=3600, ring_after_sec=600, **given,
        )  # fmt: skip
        self.clock, self.provider = clock, FakeProvider()
        self.connection = Connection(self.settings)
        self.store: ClusterStore = self.connection.store
        self.store._clock_ms = lambda: clock.now_ms
        self.state = ScalingState(self.store)
        self.lives: dict[str, Life] = {}
        self.runs: list[Run] = []
        self.scaler = self.another()

    def another(self) -> Scaler:
        """A controller that knows nothing but what the store and the provider say."""
        return Scaler(self.connection, provider_of=lambda *_: self.provider)

    def tick(self, scaler: Scaler | None = None, *, s: float = 10) -> ScalingDecision:
        self.pass_time(s)
        decision = (scaler or self.scaler).tick()
        assert decision is not None
        return decision

    def pass_time(self, s: float) -> None:
        """Nodes beat meanwhile."""
        for _ in range(int(s)):
            self.clock.advance(s=1)
            for life in self.lives.values():
                self.store.heartbeat(life.node, life.incarnation, {})
            self.store.sweep()

    def boot(self) -> None:
        """Every node that was launched registers."""
        for name, node in self.provider.nodes.items():
            worker_id = self.provider.worker_id(name)
            if node.state is ProvidedState.STARTING and worker_id not in self.lives:
                life = Life(worker_id, uuid.uuid4().hex)
                self.store.register(worker_id, life.incarnation, node.spec.profile, {})
                self.lives[worker_id] = life
                self.provider.change(name, ProvidedState.RUNNING)

    def end_stopped(self) -> None:
        """Every node that was told to end does."""
        for name, node in self.provider.nodes.items():
            if node.state is ProvidedState.STOPPING:
                life = self.lives.pop(self.provider.worker_id(name), None)
                if life:
                    self.store.retire(life.node, life.incarnation)
                self.provider.change(name, ProvidedState.ENDED, "status 0")

    def start_all(self) -> list[Run]:
        """Every bug that a node was given runs there; all that run."""
        for node in self.store.snapshot().live:
            for record in self.store.bugs(list(node.bugs)):
                if record.state is BugState.ASSIGNED:
                    assignment = Assignment(node.worker_id, record.id, record.epoch)
                    self.runs.append(start(self.store, assignment, self.lives[node.worker_id]))
        return self.runs

    def finish_all(self, *, but: str = "") -> None:
        """They end, and so do those that are started in their place."""
        while [run for run in self.start_all() if run.bug != but]:
            for run in [run for run in self.runs if run.bug != but]:
                finish(self.store, run, BugState.DONE)
                self.runs.remove(run)

    def stages(self) -> dict[str, LaunchStage]:
        return {node: one.stage for node, one in self.state.observe(60, "c").launches.items()}

    def settle(self, ticks: int = 12) -> None:
        """Ticks until nothing is left to do."""
        for _ in range(ticks):
            self.boot()
            self.end_stopped()
            self.tick()


@pytest.fixture
def bench(settings: Settings, clock: Clock) -> Iterator[Bench]:
    made = Bench(settings, clock)
    yield made
    made.connection.close()


def test_waiting_bugs_start_nodes_that_are_drained_and_stopped_when_nothing_needs_them(
    bench: Bench,
) -> None:
    bench.store.submit([bug(f"b{i}") for i in range(6)])

    decision = bench.tick()
    assert len(decision.launch) == 3, decision.reason
    assert sorted(bench.provider.nodes) == ["auto1", "auto2", "auto3"]
    assert not bench.tick().is_change, "those that start are counted"
    bench.boot()
    assert set(bench.stages().values()) == {LaunchStage.READY}
    ended = bench.store.snapshot()
    assert (ended.waiting, ended.total_agents - ended.free_agents) == (0, 18)

    bench.finish_all()
    assert not bench.tick().is_change, "the window still needs them"
    decision = bench.tick(s=70)
    assert len(decision.drain) == 3, decision.reason
    assert {node.state for node in bench.provider.nodes.values()} == {ProvidedState.STOPPING}
    bench.settle(3)
    assert (bench.provider.nodes, bench.stages()) == ({}, {})


def test_a_node_that_runs_a_bug_is_drained_and_stopped_only_when_the_bug_has_ended(
    bench: Bench,
) -> None:
    bench.store.submit([bug(f"b{i}") for i in range(6)])
    bench.tick()
    bench.boot()
    busy = bench.start_all()[0].node
    bench.finish_all(but=bench.runs[0].bug)
    for _ in range(20):
        bench.end_stopped()
        bench.tick()

    assert [bench.provider.worker_id(name) for name in bench.provider.nodes] == [busy]
    assert not [call for call in bench.provider.calls if call == f"stop {busy.partition('@')[0]}"]
    bench.finish_all()
    bench.tick(s=80)
    bench.settle(4)
    assert bench.provider.nodes == {}


def test_a_draining_node_serves_again_when_demand_is_back(bench: Bench) -> None:
    bench.store.submit([bug("long1"), bug("long2", agents=9), bug("short", agents=9)])
    bench.tick()
    bench.boot()
    bench.start_all()
    busy = bench.store.bug("long1").worker_id
    finished = [run for run in bench.runs if run.bug != "long1"]
    for run in finished:
        finish(bench.store, run, BugState.DONE)
        bench.runs.remove(run)
    bench.tick(s=70)  # the idle ones go
    bench.end_stopped()
    bench.settle(3)
    life = Life("own@host", "x")
    bench.store.register(life.node, life.incarnation, "9|python", {})
    bench.lives[life.node] = life
    bench.tick(s=70)
    assert bench.stages() == {busy: LaunchStage.DRAINING}

    bench.store.submit([bug(f"c{i}", agents=6) for i in range(3)])
    decision = bench.tick()

    assert decision.resume == (busy,), decision.reason
    assert bench.stages()[busy] is LaunchStage.READY
    assert bench.store.snapshot().waiting == 1


def test_nodes_that_somebody_else_started_are_counted_and_never_stopped(bench: Bench) -> None:
    life = Life("own@host", uuid.uuid4().hex)
    bench.store.register(life.node, life.incarnation, "9|python", {})
    bench.lives[life.node] = life

    for _ in range(15):
        decision = bench.tick()

    assert not decision.is_change
    assert bench.provider.nodes == {}
    assert [node.worker_id for node in bench.store.snapshot().live] == ["own@host"]


@pytest.mark.parametrize("step", STEPS)
def test_a_controller_that_dies_at_any_step_leaves_nothing_that_the_next_does_not_find(
    step: str, bench: Bench
) -> None:
    bench.store.submit([bug(f"b{i}") for i in range(6)])
    died = 0
    for round_ in range(40):
        bench.boot()
        bench.end_stopped()
        bench.provider.dies_at = step if died < 5 else ""
        bench.pass_time(10)
        try:
            bench.another().tick()
        except Died:
            died += 1
        assert len(bench.provider.nodes) <= bench.settings.max_workers
        if round_ == 20:
            bench.finish_all()

    assert died >= 3
    assert bench.store.snapshot().stats["DONE"] == 6
    assert (bench.provider.nodes, bench.stages()) == ({}, {})


@pytest.mark.parametrize("call", ["list", "launch", "stop", "remove"])
def test_a_provider_that_always_fails_is_reported_and_not_hammered(call: str, bench: Bench) -> None:
    bench.store.submit([bug(f"b{i}") for i in range(6)])
    if call != "launch":
        bench.tick()
        bench.boot()
        bench.finish_all()
    bench.provider.fails = {call}
    bench.provider.calls.clear()

    for _ in range(60):  # ten minutes
        bench.tick()

    asked = [one for one in bench.provider.calls if one.startswith(call)]
    assert 3 <= len(asked) <= 12, asked
    troubles = [one.told["trouble"] for one in bench.state.decisions(60)]
    assert any(f"{call} was refused" in trouble for trouble in troubles)
    assert any("is asked again in" in trouble for trouble in troubles)
    if call == "stop":
        assert bench.provider.nodes == {}, "what cannot be told to end is killed"
    bench.provider.fails = set()
    bench.tick(s=700)
    bench.settle()
    assert bool(bench.provider.nodes) == (call == "launch")


def test_a_provider_that_is_away_and_never_said_its_scope_is_a_trouble_like_others(
    bench: Bench,
) -> None:
    bench.provider.fails = {"list", "scope"}

    bench.tick()

    (decision,) = bench.state.decisions(1)
    assert decision.told["trouble"] == "list was refused"


@pytest.mark.parametrize("lie", ["hides", "buries"])
def test_nodes_that_serve_are_believed_more_than_a_provider_that_lies_of_them(
    lie: str, bench: Bench
) -> None:
    bench.store.submit([bug(f"b{i}") for i in range(6)])
    bench.tick()
    bench.boot()
    bench.start_all()
    bench.provider.lies = lie

    for _ in range(20):
        bench.tick()
    assert len(bench.store.snapshot().live) == 3
    assert "remove" not in " ".join(bench.provider.calls)

    bench.finish_all()
    bench.tick(s=70)
    assert {node.state for node in bench.provider.nodes.values()} == {ProvidedState.STOPPING}
    bench.settle(3)
    assert (bench.store.snapshot().live, bench.stages()) == ([], {})


def test_a_provider_that_lists_nothing_of_what_it_launched_is_asked_until_the_boot_time_is_over(
    bench: Bench,
) -> None:
    bench.provider.lies = "hides"
    bench.store.submit([bug("b")])

    for _ in range(60):
        bench.tick()

    launches = [call for call in bench.provider.calls if call.startswith("launch")]
    assert launches.count("launch auto1") < 60
    failed = [one for one in bench.store.events("0", most=9999) if one.action == "launch_failed"]
    assert 2 <= len(failed) <= 5
    assert len(bench.provider.nodes) <= 2


def test_a_node_that_never_registers_is_removed_and_counts_as_a_failure(bench: Bench) -> None:
    bench.store.submit([bug("b")])
    bench.tick()
    assert list(bench.provider.nodes) == ["auto1"]
    bench.provider.change("auto1", ProvidedState.STARTING, "image is being pulled")

    bench.tick(s=bench.settings.boot_timeout_sec + 1)

    assert "remove auto1" in bench.provider.calls
    (failed,) = [
        event for event in bench.store.events("0", most=500) if event.action == "launch_failed"
    ]
    assert "did not register within 120 s: image is being pulled" in failed.detail


def test_a_node_that_ends_before_it_registers_is_replaced_with_its_reason_kept(
    bench: Bench,
) -> None:
    bench.store.submit([bug("b")])
    bench.tick()
    bench.provider.change("auto1", ProvidedState.ENDED, "status 1: no module named x")

    decision = bench.tick()

    assert len(decision.launch) == 1
    assert bench.state.observe(60, "c").error.endswith("status 1: no module named x")


def test_a_silent_node_has_a_boots_time_to_come_back_and_is_then_killed(bench: Bench) -> None:
    bench.store.submit([bug("b")])
    bench.tick()
    bench.boot()
    life = bench.lives.pop("auto1@fake")
    bench.tick(s=30)
    assert bench.stages() == {"auto1@fake": LaunchStage.STARTING}

    bench.store.register("auto1@fake", "again", "9|python", {})
    bench.lives["auto1@fake"] = replace(life, incarnation="again")
    bench.tick()
    assert bench.stages() == {"auto1@fake": LaunchStage.READY}

    bench.lives.clear()
    bench.tick(s=30)
    bench.tick(s=130)
    assert "remove auto1" in bench.provider.calls


def test_what_is_left_of_a_forgotten_launch_is_adopted(bench: Bench) -> None:
    bench.store.submit([bug("b")])
    bench.tick()
    bench.boot()
    bench.store.client.delete(f"{bench.store.prefix}launches")

    bench.tick()

    assert bench.stages() == {"auto1@fake": LaunchStage.READY}


def test_what_is_about_to_end_is_adopted_as_such_and_counts_as_no_failure(bench: Bench) -> None:
    bench.store.submit([bug("b")])
    bench.tick()
    bench.boot()
    bench.provider.change("auto1", ProvidedState.STOPPING)
    bench.store.client.delete(f"{bench.store.prefix}launches")

    bench.tick()
    assert bench.stages() == {"auto1@fake": LaunchStage.STOPPING}
    bench.end_stopped()
    bench.tick()

    assert bench.stages().keys() <= {"auto2@fake"}
    assert bench.state.observe(60, "c").failures == 0


def test_a_recorded_decision_can_be_taken_again_from_its_inputs(bench: Bench) -> None:
    bench.store.submit([bug(f"b{i}") for i in range(6)])
    bench.tick()
    bench.boot()
    bench.tick()

    for one in bench.state.decisions():
        again = decide(ClusterView.from_dict(one.told["view"]), bench.scaler._policy)
        assert (again.action, again.reason) == (one.action, one.reason)
        assert list(again.needed) == list(one.told["needed"])


def test_two_controllers_never_launch_more_than_is_allowed(bench: Bench) -> None:
    bench.store.submit([bug(f"b{i}", agents=9) for i in range(50)])
    scalers = [bench.another() for _ in range(4)]

    for number in range(12):
        bench.pass_time(3)
        scalers[number % 4].tick()
        bench.boot()

    assert len(bench.provider.nodes) == bench.settings.max_workers


def test_a_tick_that_was_overtaken_stops_acting(bench: Bench) -> None:
    bench.store.submit([bug(f"b{i}", agents=9) for i in range(5)])
    original = bench.provider.launch

    def slow(order: object) -> None:
        original(order)  # type: ignore[arg-type]
        bench.clock.advance(s=11)
        bench.store.claim_tick("scale", "another", 10_000)

    bench.provider.launch = slow  # type: ignore[method-assign, assignment]
    bench.pass_time(10)

    assert bench.scaler.tick() is None
    assert len(bench.provider.nodes) == 1


def test_without_a_provider_it_says_what_one_would_be_asked_for(
    settings: Settings, clock: Clock
) -> None:
    bench = Bench(settings, clock)
    bench.settings = replace(bench.settings, provider="none")
    connection = Connection(bench.settings)
    connection.store._clock_ms = lambda: clock.now_ms
    connection.store.submit([bug(f"b{i}") for i in range(6)])

    decision = Scaler(connection).tick()

    assert decision is not None
    assert (decision.launch, decision.wanted) == ((), 3)
    assert decision.limits == ("no provider that could",)
    connection.close()
    bench.connection.close()


# -- whose nodes they are ----------------------------------------------------------------------


def launched_elsewhere(bench: Bench, scope: str) -> str:
    """A node that somebody else launched, and that does not serve any more."""
    term = bench.store.claim_tick("scale", "another", 10)
    assert term is not None
    node = f"auto1@{scope}"
    bench.state.adopt_launch(
        term,
        node,
        name="auto1",
        profile="9|python",
        scope=scope,
        age_s=5,
        stage=LaunchStage.STARTING,
    )
    bench.store.end_tick("scale", term)
    return node


@pytest.mark.parametrize(
    ("scope", "is_forgotten"), [("fake:elsewhere", False), ("fake:gone", True)]
)
def test_launches_of_others_are_forgotten_only_when_these_are_gone(
    bench: Bench, scope: str, is_forgotten: bool
) -> None:
    node = launched_elsewhere(bench, scope)

    bench.tick()

    assert (node not in bench.stages()) is is_forgotten


def test_a_program_that_ends_forgets_its_own_nodes_alone(bench: Bench) -> None:
    theirs = launched_elsewhere(bench, "fake:elsewhere")
    bench.store.submit([bug(f"b{i}") for i in range(4)])  # for three of them it has room
    bench.tick()
    assert set(bench.stages()) == {theirs, "auto1@fake"}

    bench.pass_time(1)
    bench.scaler.forget_nodes(bench.scaler.scope)

    assert set(bench.stages()) == {theirs}


def test_local_scopes_with_a_supervisor_of_their_own_are_gone_with_its_folder(
    tmp_path: Path,
) -> None:
    supervised = LocalProvider(tmp_path, is_supervised=True)
    host = LocalProvider(tmp_path / "usual")
    gone = LocalProvider(tmp_path / "gone", is_supervised=True)

    assert len({supervised.scope, host.scope, gone.scope}) == 3
    assert host.is_gone(gone.scope)
    assert not host.is_gone(supervised.scope)
    assert not supervised.is_gone(host.scope), "a host's own supervisor starts when it is asked"
    assert not host.is_gone(gone.scope.replace(host.hostname, "elsewhere"))
    assert not host.is_gone("docker:abc")
