"""The environment that a command is started in, whoever runs the tests."""

import os
from pathlib import Path

from fixwurx_celery.settings import Settings

__all__ = ["ROOT", "environment", "surroundings"]

ROOT = Path(__file__).resolve().parents[2]
"""The project's folder."""

OURS = ("FIXWURX_", "FLOWER_", "XDG_")
OF_A_TERMINAL = ("CI", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "TERM")


def surroundings(**more: str) -> dict[str, str]:
    """A person's shell that imports this project, with nothing set but `more`.

    What this process was told of the cluster stays here, and so does what kind of terminal it is
    in: a CI system says it is one, and may have no TERM.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(OURS) and name not in OF_A_TERMINAL
    }
    return {**kept, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **more}


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """The same for a cluster of these settings; `more` goes before them."""
    return surroundings(**{**settings.environment(), **more})
