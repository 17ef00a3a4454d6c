"""The file in which scaling's state is also kept (FIXWURX_STATE_PATH), for a store that lost it.

Bugs are not in it: they are as safe as the store's own files make them. With an empty store, a
controller still knows from it which nodes it launched, what was needed lately, and how long nodes
boot and bugs run.
"""

import contextlib
import json
import logging
import os
from pathlib import Path
from typing import Any, Final

from fixwurx_celery.errors import ConfigurationError
from fixwurx_celery.logs import event
from fixwurx_celery.store.scaling_state import ScalingState

__all__ = ["StateFile"]

VERSION: Final = 1

log = logging.getLogger(__name__)


class StateFile:
    """Written whole or not at all, and only when something has changed."""

    def __init__(self, path: Path, state: ScalingState) -> None:
        self._path, self._state = path, state
        self._written: dict[str, Any] | None = None

    def sync(self) -> None:
        """Brings the two together: an empty store gets what the file has, and else the file what
        the store has. Raises ConfigurationError for a file that cannot be read or written."""
        kept = self._state.kept_state()
        if not kept:
            told = self._read()
            if told and self._state.restore_scaling(told):
                log.warning(event("scaling_restored", f"the store was empty; {self._path} was not"))
            return
        if kept != self._written:
            self._write(kept)
            self._written = kept

    def _read(self) -> dict[str, Any]:
        try:
            told = json.loads(self._path.read_text("utf-8"))
            if told["version"] != VERSION:
                raise ValueError(f"it is of version {told['version']}, and not {VERSION}")
            state: dict[str, Any] = told["scaling"]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                [
                    f"FIXWURX_STATE_PATH={self._path} cannot be read: {error!r}; remove it, or put "
                    "a good one in its place"
                ]
            ) from error
        return state

    def _write(self, kept: dict[str, Any]) -> None:
        text = json.dumps({"version": VERSION, "scaling": kept}, indent=1, sort_keys=True)
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            with open(beside, "w", encoding="utf-8") as file:  # noqa: PTH123 - needs its descriptor
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise ConfigurationError(
                [f"FIXWURX_STATE_PATH={self._path} cannot be written: {error.strerror}"]
            ) from error
