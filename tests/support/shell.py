"""A shell in which a reader of the documents types what they show."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.commands import Desk
from tests.support.surroundings import surroundings

__all__ = ["Shell"]


class Shell:
    """A reader's shell: a home of its own, the command on its path, nothing configured."""

    def __init__(self, at: Desk, **environment: str) -> None:
        self.at = at
        # Commands as an installation has them, of the code under test.
        tools = at.folder / "bin"
        tools.mkdir(exist_ok=True)
        for name, module in (("fixwurx-celery", "fixwurx_celery.cli"), ("celery", "celery")):
            call = f"from {module} import main; main()" if module != "celery" else ""
            text = f'exec "{sys.executable}" ' + (f'-c "{call}"' if call else "-m celery")
            (tools / name).write_text(f'#!/bin/sh\n{text} "$@"\n')
            (tools / name).chmod(0o755)
        self.environment = surroundings(
            HOME=str(at.folder),
            PATH=f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            TMPDIR=str(at.temporary),
            DESK_MARK=at.mark,
            **environment,
        )

    def __call__(
        self, script: str, folder: str = ".", within_s: float = 90, status: int = 0, **more: str
    ) -> str:
        """What the script prints; it must end with that status."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=self.at.folder / folder,
            env=self.environment | more, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=within_s,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == status, f"{script}\nends with {done.returncode}:\n{said}"
        return said

    @contextmanager
    def beside(self, script: str, folder: str = ".", **more: str) -> Iterator[Callable[[], str]]:
        """Runs it in a terminal of its own, until Ctrl-C. Gives what it has printed so far."""
        log = self.at.folder / f"beside-{uuid.uuid4().hex[:6]}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-euc", script.strip()], cwd=self.at.folder / folder,
                env=self.environment | more, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip
        try:
            yield log.read_text
        finally:
            # Ctrl-C is for all of the terminal's processes.
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                process.kill()
                raise AssertionError(f"{script} did not end: {log.read_text()[-2000:]}") from None
