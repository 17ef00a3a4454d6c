"""The callable that FIXWURX_ENGINE names, given those of bug, workspace and checkpoint it asks for.

A parameter is filled by its name; one of another name by its place among those, unless it has a
default, which it then keeps. So `make(bug)`, `make(b, folder)`, `make(bug, *, checkpoint)` and
`make(bug, config=None)` all get what they mean.
"""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter
from pathlib import Path
from typing import Any

from fixwurx_celery.engine.base import JSON, EngineBug

__all__ = ["Factory", "load_factory"]


@dataclass(frozen=True, slots=True)
class Factory:
    """Makes the engine of one attempt. `name` is the callable's, as FIXWURX_ENGINE has it."""

    name: str
    function: Callable[..., Any]

    def make(self, bug: EngineBug, workspace: Path, checkpoint: JSON) -> Any:
        """What the callable returns. Raises ValueError when it cannot be called with these."""
        given = {"bug": bug, "workspace": workspace, "checkpoint": checkpoint}
        try:
            signature = inspect.signature(self.function)
        except (TypeError, ValueError):  # written in C, and does not say
            return self.function(*given.values())
        arguments = inspect.BoundArguments(signature, self._arguments(signature, given))
        arguments.apply_defaults()
        return self.function(*arguments.args, **arguments.kwargs)

    def _arguments(self, signature: inspect.Signature, given: dict[str, Any]) -> dict[str, Any]:
        """What goes to each parameter that gets something, in their order."""
        named = {name.strip("_"): name for name in signature.parameters}
        left = {name: value for name, value in given.items() if name not in named}
        filled: dict[str, Any] = {}
        for name, parameter in signature.parameters.items():
            if parameter.kind is Parameter.VAR_POSITIONAL:
                filled[name], left = tuple(left.values()), {}
            elif parameter.kind is Parameter.VAR_KEYWORD:
                filled[name], left = left, {}
            elif name.strip("_") in given:  # `_checkpoint` says that it is not used
                filled[name] = given[name.strip("_")]
            elif parameter.default is Parameter.empty:
                if not left or parameter.kind is Parameter.KEYWORD_ONLY:
                    raise self._unusable(f"it needs {name!r} as well")
                filled[name] = left.pop(next(iter(left)))
        if "bug" in left:
            raise self._unusable("it takes no bug")
        return filled

    def _unusable(self, why: str) -> ValueError:
        called = self.name.rpartition(":")[2]
        return ValueError(
            f"FIXWURX_ENGINE={self.name!r} makes no engine: {why}; write it as {called}(bug), "
            f"{called}(bug, workspace) or {called}(bug, workspace, checkpoint)"
        )


def load_factory(name: str) -> Factory:
    """The factory that `module:callable` names. Raises ValueError saying what is missing."""
    module_name, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"FIXWURX_ENGINE={name!r} cannot be loaded on this node: {error}; it must be written "
            "module:callable and be importable from the node's working directory"
        ) from error
    if not callable(function):
        raise ValueError(f"FIXWURX_ENGINE={name!r} is not callable")
    return Factory(name, function)
