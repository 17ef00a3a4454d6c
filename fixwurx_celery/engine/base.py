"""The engine seam: what a node hands to an engine, and what it expects back.

`FIXWURX_ENGINE` names an `EngineFactory` as `module:callable`. The node calls it once per attempt,
in a process of its own that leads a session, and then ticks the engine until it says it is done.
An engine sees the bug's id, its agents and its payload, and nothing else of the cluster. How to
write one, from two methods upward: docs/engines.md.
"""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from fixwurx_celery.domain.bugs import Outcome
from fixwurx_celery.domain.clocks import Phase

__all__ = ["JSON", "Artifacts", "Engine", "EngineBug", "EngineFactory", "Outcome", "Phase"]

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"


class Artifacts(Protocol):
    """Content-addressed bytes that every node can read."""

    def put(self, data: bytes, /) -> str:
        """Return the reference under which `data` can be read from any node."""
        ...

    def get(self, ref: str, /) -> bytes:
        """Return the bytes kept under `ref`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineBug:
    """What an engine may know about its bug."""

    id: str
    agents: int
    payload: Mapping[str, JSON] = field(default_factory=dict)
    artifacts: Artifacts | None = None

    def __post_init__(self) -> None:
        if self.agents < 1:
            raise ValueError(f"bug {self.id} asks for {self.agents} agents; it needs at least 1")

    @property
    def bug_id(self) -> str:
        """The same id under FixWurx's name for it."""
        return self.id


@runtime_checkable
class Engine(Protocol):
    """Processes one bug, a tick at a time. Every method may also be `async def`.

    Optional besides, each used where it is there:

    - `phase: str`, or an enum's member, shown by its name. Read between ticks, it says whose clock
      the next one is charged to: set-up in TRIAGE, verify in VERIFY, else the run's. So it changes
      at the end of a tick, and the next tick begins once the store knows.
    - `checkpoint() -> JSON`: what the next node goes on from. Asked for when the phase changed, at
      least every two seconds, and when the bug is moved.
    - `restore(checkpoint)`: called before the first tick, when there is one. The factory gets it
      too, so an engine has use for one of both.
    - `outcome: JSON`: read when all is done.
    - `cancel()`: called between two ticks when the bug is cancelled, moved or out of time, if the
      present tick ends within a second. After that second everything is killed.
    - `bugs`: a list, or a dict by id, in which the bug has the phase where the engine itself has
      none, and with a `timer` beside it is its checkpoint, where the engine makes none.
    """

    def execute_tick(self) -> Awaitable[None] | None:
        """Do a bounded piece of work, about a second where that is possible."""
        ...

    def all_done(self) -> Awaitable[bool] | bool:
        """Tell whether there is nothing left to tick for."""
        ...


class EngineFactory(Protocol):
    """Makes the engine of one attempt. It may take fewer of these: see engine/factory.py."""

    def __call__(self, bug: EngineBug, workspace: Path, checkpoint: JSON) -> Engine:
        """Return an engine that works in `workspace`, a private empty folder."""
        ...
