"""Any engine, as the node runs it: its phases, its checkpoint, its outcome, its coroutines."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, IntEnum, auto
from types import SimpleNamespace
from typing import Any

import pytest

from fixwurx_celery.domain.bugs import BugState, terminal_state
from fixwurx_celery.engine.adapter import MOST_CHECKPOINT, EngineAdapter
from fixwurx_celery.engine.base import Engine


class Phase(Enum):
    TRIAGE = auto()
    PATCH = auto()
    DONE = auto()
    ESCALATE = auto()


class Numbered(IntEnum):
    PATCH = 4


@dataclass(frozen=True)
class Frozen:
    id: str
    phase: Phase | str
    timer: float = 0


@dataclass
class Open:
    bug_id: str
    phase: Phase | str
    timer: float = 0


class Ticking:
    """The two methods, and whatever it is given besides."""

    def __init__(self, **more: Any) -> None:
        self.ticks = 0
        self.__dict__.update(more)

    def execute_tick(self) -> None:
        self.ticks += 1

    def all_done(self) -> bool:
        return self.ticks >= 3


@pytest.fixture(name="adapt")
def make_adapter() -> Iterator[Any]:
    made = []

    def adapt(engine: Any) -> EngineAdapter:
        made.append(EngineAdapter(engine, "b-1"))
        return made[-1]

    yield adapt
    for adapter in made:
        adapter.close()


def run(adapter: EngineAdapter) -> None:
    while not adapter.is_done():
        adapter.tick()


def test_two_methods_are_an_engine(adapt: Any) -> None:
    engine = Ticking()
    adapter = adapt(engine)
    adapter.resume({"anything": 1})

    run(adapter)

    assert isinstance(engine, Engine)
    assert engine.ticks == 3
    assert (adapter.phase, adapter.outcome) == ("RUN", None)
    assert not adapter.can_checkpoint
    assert adapter.checkpoint() == ""
    adapter.cancel()  # nothing to tell


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (None, "the factory made NoneType, which has no execute_tick()"),
        (SimpleNamespace(execute_tick=print), "SimpleNamespace, which has no all_done()"),
        (SimpleNamespace(execute_tick=1, all_done=print), "which has no execute_tick()"),
    ],
)
def test_what_is_no_engine_is_refused(made: Any, said: str) -> None:
    with pytest.raises(TypeError) as caught:
        EngineAdapter(made, "b-1")

    assert said in str(caught.value)
    assert str(caught.value).endswith("an engine has execute_tick() and all_done()")


# -- phases ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({"phase": "PATCH"}, "PATCH"),
        ({"phase": Phase.PATCH}, "PATCH"),
        ({"phase": Numbered.PATCH}, "PATCH"),
        ({"phase": ""}, "RUN"),
        ({"phase": None}, "RUN"),
        ({"bugs": [Frozen("b-1", Phase.PATCH)]}, "PATCH"),
        ({"bugs": [Frozen("b-1", "PATCH")]}, "PATCH"),
        ({"bugs": [Open("b-1", Phase.PATCH)]}, "PATCH"),
        ({"bugs": [Frozen("of its own", Phase.PATCH)]}, "PATCH"),
        ({"bugs": [Frozen("b-0", Phase.TRIAGE), Frozen("b-1", Phase.PATCH)]}, "PATCH"),
        ({"bugs": [Open("b-0", Phase.TRIAGE), Open("b-1", Phase.PATCH)]}, "PATCH"),
        ({"bugs": {"b-0": SimpleNamespace(), "b-1": Open("?", Phase.PATCH)}}, "PATCH"),
        ({"bugs": {7: Frozen("b-1", Phase.PATCH)}}, "PATCH"),
        ({"bugs": {7: Frozen("b-8", Phase.PATCH)}}, "PATCH"),
        ({"phase": "VERIFY", "bugs": [Frozen("b-1", Phase.PATCH)]}, "VERIFY"),
        ({"phase": "", "bugs": [Frozen("b-1", Phase.PATCH)]}, "PATCH"),
        ({"bugs": []}, "RUN"),
        ({"bugs": {}}, "RUN"),
        ({"bugs": None}, "RUN"),
        ({"bugs": 3}, "RUN"),
        ({"bugs": ["b-1"]}, "RUN"),
    ],
)
def test_the_phase_is_the_engines_or_its_bugs(adapt: Any, more: dict[str, Any], shown: str) -> None:
    assert adapt(Ticking(**more)).phase == shown


def test_a_bug_that_is_replaced_is_followed(adapt: Any) -> None:
    engine = Ticking(bugs=[Frozen("b-1", Phase.TRIAGE)])
    adapter = adapt(engine)
    phases = [adapter.phase]

    engine.bugs = [replace(engine.bugs[0], phase=Phase.PATCH)]
    phases.append(adapter.phase)
    engine.bugs[0] = replace(engine.bugs[0], phase=Phase.DONE)
    phases.append(adapter.phase)

    assert phases == ["TRIAGE", "PATCH", "DONE"]


# -- from one node to the next ---------------------------------------------------------------


def moved(adapt: Any, before: Any, after: Any) -> None:
    """`after` goes on where `before` is."""
    text = adapt(before).checkpoint()
    adapt(after).resume(json.loads(text) if text else None)


@pytest.mark.parametrize("kind", [Frozen, Open])
@pytest.mark.parametrize(("now", "first"), [(Phase.PATCH, Phase.TRIAGE), ("PATCH", "TRIAGE")])
@pytest.mark.parametrize("kept_in", [list, lambda bugs: {bug.phase: bug for bug in bugs}])
def test_phase_and_timer_of_the_bug_go_to_the_next_engine(
    adapt: Any, kind: Any, now: Any, first: Any, kept_in: Any
) -> None:
    before = Ticking(bugs=kept_in([kind("b-1", now, 2.5)]))
    after = Ticking(bugs=kept_in([kind("b-0", first), kind("b-1", first)]))
    others = [*(after.bugs if kept_in is list else after.bugs.values())][:-1]

    moved(adapt, before, after)

    bugs = [*(after.bugs if kept_in is list else after.bugs.values())]
    assert bugs == [*others, kind("b-1", now, 2.5)]


def test_a_bug_that_can_be_changed_is_not_replaced(adapt: Any) -> None:
    bug = Open("b-1", Phase.TRIAGE)

    moved(adapt, Ticking(bugs=[Open("b-1", Phase.PATCH, 3)]), Ticking(bugs=[bug]))

    assert bug == Open("b-1", Phase.PATCH, 3)


@pytest.mark.parametrize(
    "bug",
    [
        SimpleNamespace(phase="PATCH"),
        SimpleNamespace(timer=3),
        SimpleNamespace(phase="PATCH", timer=None),
        SimpleNamespace(phase="PATCH", timer=True),
        SimpleNamespace(phase="", timer=3),
    ],
)
def test_half_a_position_is_no_checkpoint(adapt: Any, bug: Any) -> None:
    adapter = adapt(Ticking(bugs=[bug]))

    assert adapter.checkpoint() == ""
    assert not adapter.can_checkpoint


def test_an_engine_of_other_code_starts_anew_and_says_so(
    adapt: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = Ticking(bugs=[Frozen("b-1", Phase.TRIAGE)])

    adapt(engine).resume({"phase": "PLAN", "timer": 3})

    assert engine.bugs == [Frozen("b-1", Phase.TRIAGE)]
    assert capsys.readouterr().out == "starts anew, not in phase PLAN: KeyError('PLAN')\n"


@pytest.mark.parametrize("checkpoint", [None, 7, "PATCH", [], {}, {"phase": "PATCH"}])
def test_what_is_no_position_is_not_put_back(adapt: Any, checkpoint: Any) -> None:
    engine = Ticking(bugs=[Frozen("b-1", Phase.TRIAGE)])

    adapt(engine).resume(checkpoint)

    assert engine.bugs == [Frozen("b-1", Phase.TRIAGE)]


def test_an_engines_own_checkpoint_is_its_own_affair(adapt: Any) -> None:
    before = Ticking(checkpoint=lambda: [1, 2], bugs=[Frozen("b-1", Phase.PATCH)])
    after = Ticking(checkpoint=list, bugs=[Frozen("b-1", Phase.TRIAGE)])

    text = adapt(before).checkpoint()
    adapt(after).resume({"phase": "PATCH", "timer": 3})

    assert text == "[1, 2]"
    assert after.bugs == [Frozen("b-1", Phase.TRIAGE)]


def test_an_engine_that_restores_itself_does_so_alone(adapt: Any) -> None:
    restored: list[Any] = []
    engine = Ticking(bugs=[Frozen("b-1", Phase.TRIAGE)], restore=restored.append)

    adapt(engine).resume(None)
    adapt(engine).resume({"phase": "PATCH", "timer": 3})

    assert restored == [{"phase": "PATCH", "timer": 3}]
    assert engine.bugs == [Frozen("b-1", Phase.TRIAGE)]


def test_a_checkpoint_that_is_too_large_is_not_kept(
    adapt: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = adapt(Ticking(checkpoint=lambda: "x" * MOST_CHECKPOINT))

    assert adapter.checkpoint() == ""
    assert "checkpoint of 65538 bytes is above 65536: not kept" in capsys.readouterr().out


# -- outcomes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "outcome", "state"),
    [
        ({"outcome": {"outcome": "FIXED"}, "phase": "ESCALATE"}, {"outcome": "FIXED"}, "DONE"),
        ({"outcome": "anything"}, "anything", "DONE"),
        ({"outcome": {"outcome": "ERROR"}}, {"outcome": "ERROR"}, "ESCALATED"),
        ({"outcome": None, "bugs": [Frozen("b-1", Phase.DONE)]}, {"phase": "DONE"}, "DONE"),
        ({"phase": "DONE"}, {"phase": "DONE"}, "DONE"),
        (
            {"bugs": [Frozen("b-1", Phase.ESCALATE)]},
            {
                "outcome": "NOT_FIXED",
                "phase": "ESCALATE",
                "reason": "its engine ended in phase ESCALATE",
            },
            "DONE",
        ),
    ],
)
def test_the_outcome_is_the_engines_or_what_its_last_phase_says(
    adapt: Any, more: dict[str, Any], outcome: Any, state: str
) -> None:
    adapter = adapt(Ticking(**more))

    assert adapter.outcome == outcome
    assert terminal_state(adapter.outcome) is BugState(state)


# -- coroutines ------------------------------------------------------------------------------


class Asynchronous:
    """Everything that can be waited for, on a task that lives from tick to tick."""

    def __init__(self) -> None:
        self.loops: set[int] = set()
        self.seen: list[Any] = []
        self.background: asyncio.Task[None] | None = None
        self.beats = 0

    async def beat(self) -> None:
        while True:
            self.beats += 1
            await asyncio.sleep(0)

    async def execute_tick(self) -> None:
        if self.background is None:
            self.background = asyncio.create_task(self.beat())
        self.loops.add(id(asyncio.get_running_loop()))
        before = self.beats
        while self.beats == before:
            await asyncio.sleep(0)

    async def all_done(self) -> bool:
        return self.beats >= 3

    async def checkpoint(self) -> int:
        return self.beats

    async def restore(self, checkpoint: int) -> None:
        self.seen.append(checkpoint)

    async def cancel(self) -> None:
        self.seen.append("cancelled")


def test_all_that_an_engine_does_may_be_a_coroutine_on_one_loop() -> None:
    engine = Asynchronous()

    async def made() -> Asynchronous:
        return engine

    adapter = EngineAdapter(made(), "b-1")
    adapter.resume(7)
    run(adapter)
    text = adapter.checkpoint()
    adapter.cancel()
    adapter.close()

    assert (int(text) >= 3, engine.seen) == (True, [7, "cancelled"])
    assert len(engine.loops) == 1
    assert engine.background is not None
    assert engine.background.cancelled()


def test_a_task_that_will_not_end_does_not_hold_up_its_loop() -> None:
    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue

    async def begin() -> None:
        engine.task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)

    engine = Ticking(execute_tick=begin)
    adapter = EngineAdapter(engine, "b-1")
    adapter.tick()

    adapter.close()  # returns, or the test is out of time

    assert not engine.task.done()
    engine.task._log_destroy_pending = False  # it is known, and not asyncio's to complain of


def test_what_a_coroutine_raises_comes_out_of_its_tick(adapt: Any) -> None:
    async def fail() -> None:
        raise RuntimeError("no such tree")

    adapter = adapt(Ticking(execute_tick=fail))

    with pytest.raises(RuntimeError, match="no such tree"):
        adapter.tick()
