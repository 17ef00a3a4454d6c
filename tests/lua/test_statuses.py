"""One scenario for each status that a script can answer; the folder's guard misses none."""

from collections.abc import Callable

import pytest

from fixwurx_celery.domain.bugs import Bug, BugState
from fixwurx_celery.domain.nodes import BalancingStrategy, LaunchStage
from fixwurx_celery.errors import BugUnknown, NodeUnknown
from fixwurx_celery.store.scaling_state import ScalingState, TermOver
from tests.support.clock import Clock
from tests.support.cluster import Life, bug, fail, finish, node, running
from tests.support.replay import ReplayingStore

Scenario = Callable[[ReplayingStore, Clock], object]
SCENARIOS: dict[tuple[str, str], Scenario] = {}


def answers(script: str, status: str) -> Callable[[Scenario], Scenario]:
    """The scenario's last call is of that script, and must be answered so."""

    def note(scenario: Scenario) -> Scenario:
        SCENARIOS[script, status] = scenario
        return scenario

    return note


def one(store: ReplayingStore, agents: int = 9) -> Life:
    return node(store, "n0", agents, life="l0")[0]


@answers("observe_latency", "OBSERVED")
def _(store: ReplayingStore, clock: Clock) -> None:
    one(store)
    assert store.observe_latency("n0", 20)


@answers("observe_latency", "UNKNOWN")
def _(store: ReplayingStore, clock: Clock) -> None:
    assert not store.observe_latency("n0", 20)


@answers("tell_metrics", "TOLD")
def _(store: ReplayingStore, clock: Clock) -> None:
    one(store)
    assert store.tell_metrics("n0", {"queue": 3})


@answers("tell_metrics", "UNKNOWN")
def _(store: ReplayingStore, clock: Clock) -> None:
    assert not store.tell_metrics("n0", {"queue": 3})


@answers("prioritise", "PRIORITISED")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.submit([bug("a")])
    assert store.prioritise({"a": 3, "b": 1}) == {"a": BugState.PENDING}


@answers("submit", "SUBMITTED")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.submit([bug("a")])


@answers("start", "STARTED")
def _(store: ReplayingStore, clock: Clock) -> None:
    running(store, one(store), bug("a"))


@answers("start", "CANCELLED")
def _(store: ReplayingStore, clock: Clock) -> None:
    one(store)
    _, (assigned,) = store.submit([bug("a")])
    store.cancel("a")
    store.start("a", "n0", "l0", assigned.epoch, "r")


@answers("start", "STALE")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.start("a", "n0", "l0", 1, "r")


@answers("report", "CONTINUE")
def _(store: ReplayingStore, clock: Clock) -> None:
    (run,) = running(store, one(store), bug("a"))
    store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner)


@answers("report", "CANCELLED")
def _(store: ReplayingStore, clock: Clock) -> None:
    (run,) = running(store, one(store), bug("a"))
    store.cancel("a")
    store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner)


@answers("report", "MOVED")
def _(store: ReplayingStore, clock: Clock) -> None:
    life = one(store)
    (run,) = running(store, life, bug("a"))
    store.drain("n0", 0)
    store.report(run.bug, run.node, run.incarnation, run.epoch, run.runner)


@answers("report", "STALE")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.report("a", "n0", "l0", 1, "r")


@answers("finish", "FINISHED")
def _(store: ReplayingStore, clock: Clock) -> None:
    (run,) = running(store, one(store), bug("a"))
    finish(store, run)


@answers("finish", "STALE")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.finish("a", "n0", "l0", 1, "r", BugState.DONE, {})


@answers("fail_attempt", "PENDING")
def _(store: ReplayingStore, clock: Clock) -> None:
    (run,) = running(store, one(store), bug("a"))
    fail(store, run)


@answers("fail_attempt", "ESCALATED")
def _(store: ReplayingStore, clock: Clock) -> None:
    life = one(store, agents=3)
    _, assigned = store.submit([bug("a")])
    while assigned:
        (given,) = assigned
        status, assigned = store.fail_attempt("a", "n0", "l0", given.epoch, "losses", "gone")
        if status == "ESCALATED":
            return
        clock.advance(s=100)
        store.heartbeat("n0", life.incarnation, {})
        assigned = assigned or store.sweep().assignments


@answers("fail_attempt", "CANCELLED")
def _(store: ReplayingStore, clock: Clock) -> None:
    (run,) = running(store, one(store), bug("a"))
    store.cancel("a")
    fail(store, run)


@answers("fail_attempt", "STALE")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.fail_attempt("a", "n0", "l0", 1, "", "x")


@answers("cancel", "CANCELLED")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.submit([bug("a")])
    store.cancel("a")


@answers("cancel", "CANCELLING")
def _(store: ReplayingStore, clock: Clock) -> None:
    running(store, one(store), bug("a"))
    store.cancel("a")


@answers("cancel", "ENDED")
def _(store: ReplayingStore, clock: Clock) -> None:
    (run,) = running(store, one(store), bug("a"))
    finish(store, run)
    store.cancel("a")


@answers("cancel", "RELEASED")
def _(store: ReplayingStore, clock: Clock) -> None:
    one(store)
    store.reserve("a", "3|", "me")
    store.cancel("a")


@answers("cancel", "UNKNOWN")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.cancel("a")


@answers("retry", "PENDING")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.submit([bug("a")])
    store.cancel("a")
    store.retry("a")


@answers("retry", "LIVE")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.submit([bug("a")])
    store.retry("a")


@answers("retry", "UNKNOWN")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.retry("a")


@answers("release", "RELEASED")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.submit([bug("a")])
    store.release("a")


@answers("release", "ENDED")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.submit([bug("a")])
    store.cancel("a")
    store.release("a")


@answers("release", "UNKNOWN")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.release("a")


@answers("reserve", "RESERVED")
def _(store: ReplayingStore, clock: Clock) -> None:
    one(store)
    store.reserve("a", "3|", "me")


@answers("reserve", "HELD")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.submit([Bug(id="a")])
    store.reserve("a", "3|", "me")


@answers("reserve", "NO_ROOM")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.reserve("a", "3|", "me")


@answers("renew", "RENEWED")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.renew(["a"], "me")


@answers("register", "REGISTERED")
def _(store: ReplayingStore, clock: Clock) -> None:
    one(store)


@answers("register", "DUPLICATE")
def _(store: ReplayingStore, clock: Clock) -> None:
    orders = store.listen("n0", one(store).incarnation)
    store.register("n0", "other", "9|", {})
    orders.close()


@answers("heartbeat", "OK")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.heartbeat("n0", one(store).incarnation, {})


@answers("heartbeat", "UNKNOWN")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.heartbeat("n0", "l0", {})


@answers("drain", "STOPPING")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.drain(one(store).node, 30)


@answers("drain", "UNKNOWN")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.drain("n0", 30)


@answers("resume", "READY")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.drain(one(store).node, 30)
    store.resume("n0")


@answers("resume", "UNKNOWN")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.resume("n0")


@answers("retire", "OFFLINE")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.retire("n0", one(store).incarnation)


@answers("retire", "STALE")
def _(store: ReplayingStore, clock: Clock) -> None:
    one(store)
    store.retire("n0", "other")


@answers("sweep", "SWEPT")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.sweep()


@answers("set_strategy", "SET")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.set_strategy(BalancingStrategy.RANDOM)


@answers("claim_tick", "CLAIMED")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.claim_tick("t", "me", 1000)


@answers("claim_tick", "TAKEN")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.claim_tick("t", "me", 1000)
    store.claim_tick("t", "you", 1000)


@answers("end_tick", "ENDED")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.end_tick("t", store.claim_tick("t", "me", 1000) or 0)


@answers("end_tick", "STALE")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.end_tick("t", 1)


@answers("expect_node", "EXPECTED")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.expect_node("n0")


@answers("forget_queue", "FORGOTTEN")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.forget_queue("n0")


@answers("mend", "MENDED")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.mend()


@answers("measure", "MEASURED")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.measure(10)


@answers("snapshot", "SNAPSHOT")
def _(store: ReplayingStore, clock: Clock) -> None:
    store.snapshot()


def scaling(store: ReplayingStore) -> tuple[ScalingState, int]:
    return ScalingState(store), store.claim_tick("scale", "me", 1000) or 0


def planned(state: ScalingState, term: int, node: str = "n0", most: int = 5) -> str:
    return state.plan_launch(term, node, name=node, profile="9|", scope="here", most=most)


def adopted(state: ScalingState, term: int) -> str:
    return state.adopt_launch(term, "n0", name="n0", profile="9|", scope="here", age_s=3)


def decided(state: ScalingState, term: int) -> str:
    return state.record_decision(
        term, action="hold", reason="all is well", needed={"9|": 1}, told={}, window_s=60
    )


@answers("observe", "OBSERVED")
def _(store: ReplayingStore, clock: Clock) -> None:
    ScalingState(store).observe(60, "c")


@answers("plan_launch", "PLANNED")
def _(store: ReplayingStore, clock: Clock) -> None:
    assert planned(*scaling(store)) == "PLANNED"


@answers("plan_launch", "EXISTS")
def _(store: ReplayingStore, clock: Clock) -> None:
    one(store)
    assert planned(*scaling(store)) == "EXISTS"


@answers("plan_launch", "FULL")
def _(store: ReplayingStore, clock: Clock) -> None:
    one(store)
    assert planned(*scaling(store), node="n1", most=1) == "FULL"


@answers("adopt_launch", "ADOPTED")
def _(store: ReplayingStore, clock: Clock) -> None:
    assert adopted(*scaling(store)) == "ADOPTED"


@answers("adopt_launch", "KNOWN")
def _(store: ReplayingStore, clock: Clock) -> None:
    state, term = scaling(store)
    planned(state, term)
    assert adopted(state, term) == "KNOWN"


@answers("move_launch", "MOVED")
def _(store: ReplayingStore, clock: Clock) -> None:
    state, term = scaling(store)
    planned(state, term)
    state.move_launch(term, "n0", LaunchStage.STOPPING, "enough")


@answers("move_launch", "UNKNOWN")
def _(store: ReplayingStore, clock: Clock) -> None:
    state, term = scaling(store)
    state.move_launch(term, "n0", LaunchStage.STOPPING, "enough")


@answers("end_launch", "ENDED")
def _(store: ReplayingStore, clock: Clock) -> None:
    state, term = scaling(store)
    planned(state, term)
    state.end_launch(term, "n0", "it fell over", is_failure=True)


@answers("fail_provider", "NOTED")
def _(store: ReplayingStore, clock: Clock) -> None:
    state, term = scaling(store)
    state.fail_provider(term, "no answer")


@answers("record_decision", "RECORDED")
def _(store: ReplayingStore, clock: Clock) -> None:
    decided(*scaling(store))


@answers("restore_scaling", "KNOWN")
def _(store: ReplayingStore, clock: Clock) -> None:
    ScalingState(store).observe(60, "c")
    assert not ScalingState(store).restore_scaling({"config": {"cluster": "another"}})


@answers("restore_scaling", "RESTORED")
def _(store: ReplayingStore, clock: Clock) -> None:
    assert ScalingState(store).restore_scaling({"config": {"cluster": "c"}, "boots": [1]})


LATE: dict[str, Callable[[ScalingState, int], object]] = {
    "plan_launch": planned,
    "adopt_launch": adopted,
    "move_launch": lambda state, term: state.move_launch(term, "n0", LaunchStage.READY, ""),
    "end_launch": lambda state, term: state.end_launch(term, "n0", ""),
    "fail_provider": lambda state, term: state.fail_provider(term, ""),
    "record_decision": decided,
}
for name, act in LATE.items():

    @answers(name, "STALE")
    def _(
        store: ReplayingStore,
        clock: Clock,
        act: Callable[[ScalingState, int], object] = act,
    ) -> None:
        state, term = scaling(store)
        clock.advance(s=5)
        assert store.claim_tick("scale", "another", 1000)
        with pytest.raises(TermOver):
            act(state, term)


@pytest.mark.parametrize(("script", "status"), sorted(SCENARIOS), ids=lambda value: value)
def test_the_scenario_is_answered_so(
    script: str, status: str, store: ReplayingStore, clock: Clock
) -> None:
    try:
        SCENARIOS[script, status](store, clock)
    except (BugUnknown, NodeUnknown):
        assert status == "UNKNOWN"

    assert store.last_script == script
    assert store.last[0] == status
