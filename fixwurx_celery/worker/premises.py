"""Where a node works on its host: its folder, the warden over it, and the spool of all nodes there.

<FIXWURX_WORK_DIR>/node-…/           of one process of a node: workspaces, and who it is (`main`)
<FIXWURX_WORK_DIR>/spool-<namespace> what the store could not be told yet, of any node here
"""

import contextlib
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from fixwurx_celery.errors import ConfigurationError
from fixwurx_celery.logs import words
from fixwurx_celery.processes import identity, inherit_orphans, is_alive
from fixwurx_celery.settings import Settings
from fixwurx_celery.worker import warden
from fixwurx_celery.worker.endings import Spool

__all__ = ["Premises"]

log = logging.getLogger(__name__)


class Premises:
    """Taken by the main process before its pool forks; cleared by the warden when it has died.
    Raises ConfigurationError where the settings name no folder that the node can write in."""

    def __init__(self, settings: Settings) -> None:
        base = settings.work_folder
        try:
            base.mkdir(parents=True, exist_ok=True, mode=0o700)
            _clear_after_the_dead(base)
            self.spool = Spool(base / f"spool-{settings.namespace}")
            self.run_dir = Path(tempfile.mkdtemp(prefix="node-", dir=base))
            (self.run_dir / "main").write_text(identity(os.getpid()) or "")
        except OSError as error:
            wrong = f"FIXWURX_WORK_DIR={base} cannot be worked in as user {os.getuid()}"
            raise ConfigurationError([f"{wrong}: {error.strerror}"]) from error
        inherit_orphans()
        self._warden: subprocess.Popen[bytes] | None = None
        self.keep_warden()

    @property
    def warden_pid(self) -> int:
        """The process that must be spared when descendants are ended."""
        return self._warden.pid if self._warden else 0

    def keep_warden(self) -> None:
        """Starts the warden, also in the place of one that was killed."""
        if self._warden is None or self._warden.poll() is not None:
            self._warden = subprocess.Popen(
                [sys.executable, "-I", "-S", warden.__file__, str(self.run_dir), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def end_all_engines(self) -> None:
        """Kills whatever the node's bugs have started."""
        known = warden.sessions(str(self.run_dir))
        for pid in warden.strays(str(self.run_dir), known):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)


def _clear_after_the_dead(base: Path) -> None:
    """Ends and removes what nodes of this host left that were killed with their wardens."""
    for folder in base.glob("node-*"):
        try:
            main = (folder / "main").read_text()
        except OSError:
            continue  # about to be made, or about to be removed
        if main and not is_alive(main):
            log.warning(words(f"ends what a dead node left in {folder}"))
            warden.clear(str(folder))
