"""Any engine as a node runs it: whatever it has besides `execute_tick` and `all_done` is used.

FixWurx's own has these two, and a list of `bugs` in which its one bug has a phase and a timer.
Where an engine does not say in which phase it is, from where to go on, or how it ended, that bug
does.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final

from fixwurx_celery.domain.bugs import Outcome
from fixwurx_celery.domain.clocks import Phase
from fixwurx_celery.engine.base import JSON
from fixwurx_celery.engine.event_loop import EventLoop

__all__ = ["EngineAdapter"]

PHASE_OF_NONE: Final = "RUN"
"""Shown of an engine that has no phases: all its ticks are the run's, none is set-up."""
MOST_CHECKPOINT: Final = 64 * 1024


class EngineAdapter:
    """One engine. Any of its methods may be `async def`."""

    def __init__(self, made: Any, bug_id: str) -> None:
        """`made` is what the factory returned. Raises TypeError when that is no engine."""
        self._loop = EventLoop()
        self._engine = engine = self._loop.result_of(made)
        self._bug_id = bug_id
        for method in ("execute_tick", "all_done"):
            if not callable(getattr(engine, method, None)):
                raise TypeError(
                    f"the factory made {type(engine).__name__}, which has no {method}(); "
                    "an engine has execute_tick() and all_done()"
                )
        self._tick, self._all_done = engine.execute_tick, engine.all_done
        self.has_cancel = callable(getattr(engine, "cancel", None))
        self._has_checkpoint = callable(getattr(engine, "checkpoint", None))

    def tick(self) -> None:
        """One tick, to its end."""
        self._loop.result_of(self._tick())

    def is_done(self) -> bool:
        """Whether there is nothing left to tick for."""
        return bool(self._loop.result_of(self._all_done()))

    def cancel(self) -> None:
        """Tells the engine that it is ended, if it wants to know."""
        if self.has_cancel:
            self._loop.result_of(self._engine.cancel())

    def close(self) -> None:
        """The engine is used no more."""
        self._loop.close()

    # -- how far it is -----------------------------------------------------------------------

    @property
    def phase(self) -> str:
        """The engine's, or else that of its bug."""
        return self._said_phase() or PHASE_OF_NONE

    def _said_phase(self) -> str:
        return name_of(getattr(self._engine, "phase", None)) or name_of(
            getattr(self._bug()[1], "phase", None)
        )

    def _bug(self) -> tuple[Any, Any]:
        """Where among the engine's bugs ours is, and that bug. Looked up each time: an engine may
        put a new object there at each tick."""
        bugs = getattr(self._engine, "bugs", None)
        if isinstance(bugs, Mapping):
            return find(bugs.items(), self._bug_id)
        if isinstance(bugs, list):
            return find(enumerate(bugs), self._bug_id)
        return None, None

    @property
    def outcome(self) -> JSON:
        """The engine's, or what its last phase says. An engine that says DONE claims that it is
        through, not that tests have passed: FIXED is for the engine itself to say."""
        outcome: JSON = getattr(self._engine, "outcome", None)
        if outcome is not None:
            return outcome
        phase = self._said_phase()
        if phase == Phase.ESCALATE:
            return {
                "outcome": Outcome.NOT_FIXED,
                "phase": phase,
                "reason": f"its engine ended in phase {phase}",
            }
        return {"phase": phase} if phase else None

    # -- from one node to the next -----------------------------------------------------------

    @property
    def can_checkpoint(self) -> bool:
        """Whether another node can be told how far this engine is."""
        return self._has_checkpoint or has_position(self._bug()[1])

    def checkpoint(self) -> str:
        """What the next node goes on from, as JSON; empty when there is nothing to keep."""
        if self._has_checkpoint:
            text = json.dumps(self._loop.result_of(self._engine.checkpoint()))
            if len(text) <= MOST_CHECKPOINT:
                return text
            print(f"checkpoint of {len(text)} bytes is above {MOST_CHECKPOINT}: not kept")
            return ""
        bug = self._bug()[1]
        if not has_position(bug):
            return ""
        return json.dumps({"phase": name_of(bug.phase), "timer": bug.timer})

    def resume(self, checkpoint: JSON) -> None:
        """Before the first tick: goes on where an earlier engine was. The factory may have seen to
        that already."""
        if checkpoint is None:
            return
        if callable(getattr(self._engine, "restore", None)):
            self._loop.result_of(self._engine.restore(checkpoint))
        elif not self._has_checkpoint:
            self._put_back(checkpoint)

    def _put_back(self, checkpoint: JSON) -> None:
        key, bug = self._bug()
        match checkpoint:
            case {"phase": str(name), "timer": int() | float() as timer} if has_position(bug):
                try:
                    moved = at_position(bug, name, timer)
                except (KeyError, AttributeError) as problem:  # other code than on that node
                    print(f"starts anew, not in phase {name}: {problem!r}")
                else:
                    if moved is not bug:
                        self._engine.bugs[key] = moved


def name_of(phase: Any) -> str:
    """What is shown of a phase, whichever way the engine has it."""
    return phase.name if isinstance(phase, Enum) else str(phase or "")


def find(bugs: Iterable[tuple[Any, Any]], bug_id: str) -> tuple[Any, Any]:
    """The key and the bug of this id; the first when none has it, or two Nones."""
    first = None, None
    for key, bug in bugs:
        if bug_id in (key, getattr(bug, "id", None), getattr(bug, "bug_id", None)):
            return key, bug
        if first[1] is None:
            first = key, bug
    return first


def has_position(bug: Any) -> bool:
    """Whether the bug tells how far it is: a phase, and a timer that is a number."""
    timer = getattr(bug, "timer", None)
    is_number = isinstance(timer, int | float) and not isinstance(timer, bool)
    return is_number and bool(name_of(getattr(bug, "phase", None)))


def at_position(bug: Any, name: str, timer: float) -> Any:
    """The bug, as far as that: itself, or another one where it is a frozen dataclass. Raises
    KeyError for a phase that it does not know, AttributeError when it cannot be changed."""
    phase = type(bug.phase)[name] if isinstance(bug.phase, Enum) else name
    try:
        bug.phase, bug.timer = phase, timer
    except dataclasses.FrozenInstanceError:
        return dataclasses.replace(bug, phase=phase, timer=timer)
    return bug
