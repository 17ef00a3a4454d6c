"""Controllers and commands as processes of their own, ended with the block that started them."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def command(*arguments: str) -> list[str]:
    """A command line of ours."""
    return [sys.executable, "-c", "from fixwurx_celery.cli import main; main()", *arguments]


def controller(folder: Path) -> list[str]:
    """A controller with its beat, as an operator starts them."""
    return [
        sys.executable, "-m", "celery", "-A", "fixwurx_celery.controller", "worker", "-B",
        "--schedule", str(folder / "schedule"), "-n", "controller@here", "--loglevel", "INFO",
    ]  # fmt: skip


@contextmanager
def running_process(
    line: Sequence[str], env: dict[str, str], folder: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """The process, whose output goes to a file of the folder."""
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            line, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=10)
