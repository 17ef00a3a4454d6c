"""The analysts, by the name that a manifest gives them."""

import importlib
from collections.abc import Callable, Sequence

from fixwurx_celery.engine.analyst.base import Analyst, Case
from fixwurx_celery.engine.analyst.command import Command
from fixwurx_celery.engine.analyst.patches import Patches
from fixwurx_celery.engine.base import JSON
from fixwurx_celery.engine.payload import PayloadError
from fixwurx_celery.engine.workspace import Workspace


def _mutate(case: Case) -> Analyst:
    # Imported only where it is asked for: it brings a parser along.
    module = importlib.import_module("fixwurx_celery.engine.analyst.mutate")
    analyst: Analyst = module.Mutate(case)
    return analyst


def factory(spec: JSON, workspace: Workspace) -> Callable[[Case], Analyst]:
    """Return what makes the analyst that `spec` asks for, or raise `PayloadError`."""
    match spec:
        case "mutate":
            return _mutate
        case {"command": str(command), **rest} if command.strip() and not rest:
            return lambda case: Command(case, command, workspace)
        case {"patches": patches, **rest} if not rest:
            if isinstance(patches, Sequence) and not isinstance(patches, str) and patches:
                diffs = [patch for patch in patches if isinstance(patch, str)]
                if len(diffs) == len(patches):
                    return lambda case: Patches(case, diffs)
            raise PayloadError("payload.analyst.patches must be a non-empty list of diff texts")
    raise PayloadError(
        f"payload.analyst is {spec!r}; give mutate, {{command: program}} or {{patches: [diffs]}}"
    )
