"""What a random life of a cluster is made of: calls with their weights, which may come again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

from hypothesis import strategies as st

Method = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Action:
    """A call that a step may make: how likely, with what, and when it makes sense."""

    weight: int
    given: Mapping[str, st.SearchStrategy[Any]]
    when: str


ACTIONS: dict[str, Action] = {}


def action(
    weight: int, when: str = "always", **given: st.SearchStrategy[Any]
) -> Callable[[Method], Method]:
    """One rule among many would be left out of most runs, and a run needs most of them."""

    def note(method: Method) -> Method:
        ACTIONS[method.__name__] = Action(weight, given, when)
        return method

    return note


def call(method: Method) -> Method:
    """A call that is noted in `calls`, with all that it said, so that it can come again later."""

    @wraps(method)
    def made(self: Any, *args: Any, **given: Any) -> None:
        self.calls.append((method.__name__, args, given))
        method(self, *args, **given)

    return made
