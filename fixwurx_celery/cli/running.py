"""The table of bugs that run, as `watch` and `run` show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TextIO

from fixwurx_celery.cli.table import Column, drawn

__all__ = ["RunningRow", "clock_face", "running_table"]

COLUMNS: Final = [
    Column(title="bug", is_flexible=True),
    Column(title="phase", is_flexible=True, least=8),
    Column(title="clock", is_optional=True, least=12),
    Column(title="for", is_right=True, is_optional=True, least=5),
    Column(title="silent", is_right=True),
    Column(title="node", is_flexible=True, is_optional=True),
]
"""CLOCK is the one that runs (set-up, run, verify) and what it shows, FOR how long the bug has run,
SILENT how long ago it printed something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningRow:
    """A bug that runs, in seconds. What is not known yet is None."""

    bug: str
    phase: str
    clock: str
    clock_s: float
    limit_s: float | None = None
    ran_s: float
    silent_s: float | None
    node: str

    def cells(self) -> list[object]:
        """Its row of the table."""
        limit = "" if self.limit_s is None else f" of {clock_face(self.limit_s)}"
        return [
            self.bug,
            self.phase,
            f"{self.clock} {clock_face(self.clock_s)}{limit}",
            clock_face(self.ran_s),
            "" if self.silent_s is None else clock_face(self.silent_s),
            self.node,
        ]


def clock_face(seconds: float) -> str:
    """`0:07`, `1:05`, `2:03:09`; `3 d 4 h` above two days."""
    whole = max(0, int(seconds))
    if whole >= 2 * 86400:
        return f"{whole // 86400} d {whole % 86400 // 3600} h"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def running_table(
    rows: Sequence[RunningRow], width: int | None, stream: TextIO | None = None
) -> list[str]:
    """The heading, and a line for each."""
    return drawn(COLUMNS, [row.cells() for row in rows], width, stream)
