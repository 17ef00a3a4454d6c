"""A workload: which bugs come when, and how long each runs."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fixwurx_celery.domain.bugs import checked_labels
from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.errors import InputError

__all__ = ["Arrival", "Trace", "check_trace", "read_trace"]

COLUMNS: Final = "arrival_s,duration_s[,agents[,requires]]"
AGENTS: Final = 3
"""Of a bug, where the trace says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One bug: when it comes, and what it takes once it runs. When it has ended, another like it
    comes at once, `repeats` times: so a client does that keeps a number of bugs going."""

    at_s: float
    duration_s: float
    agents: int = AGENTS
    requires: frozenset[str] = frozenset()
    repeats: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Bugs in the order in which they come. `length_s` is how long the workload is watched at
    least; the simulation goes on until the last bug has ended."""

    name: str
    arrivals: Sequence[Arrival]
    length_s: float

    @property
    def bugs(self) -> int:
        """Bugs, those included that follow others."""
        return sum(1 + one.repeats for one in self.arrivals)

    @property
    def work_s(self) -> float:
        """Agent-seconds of all bugs."""
        return sum(one.agents * one.duration_s * (1 + one.repeats) for one in self.arrivals)


def check_trace(trace: Trace, specs: Sequence[NodeSpec]) -> None:
    """Raises InputError when there is nothing to simulate, or a bug that no such node can run."""
    if not trace.arrivals:
        raise InputError([f"{trace.name} has no bugs"])
    for number, one in enumerate(trace.arrivals, 1):
        if not any(spec.can_run(one.agents, one.requires) for spec in specs):
            labels = f" and {','.join(sorted(one.requires))}" if one.requires else ""
            raise InputError(
                [
                    f"{trace.name}: bug {number} needs {one.agents} agents{labels}, which none of "
                    f"{' '.join(map(str, specs))} has; add a --node that has"
                ]
            )


def read_trace(path: Path) -> Trace:
    """The trace in a CSV file, in order of arrival; a heading is allowed.

    Raises InputError with every line that is wrong.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError([f"{path} cannot be read: {error}"]) from error
    problems: list[str] = []
    arrivals: list[Arrival] = []
    for number, row in _rows(text):
        try:
            arrivals.append(_arrival(row))
        except ValueError as error:
            problems.append(f"{path}, line {number}: {error}; write {COLUMNS}")
    if not arrivals and not problems:
        problems.append(f"{path} has no bugs; write {COLUMNS}")
    if problems:
        raise InputError(problems)
    arrivals.sort(key=lambda one: one.at_s)
    return Trace(name=path.name, arrivals=arrivals, length_s=arrivals[-1].at_s)


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(text.splitlines())
    for row in reader:
        cells = [cell.strip() for cell in row]
        is_heading = reader.line_num == 1 and cells[:1] == ["arrival_s"]
        if any(cells) and not is_heading and not cells[0].startswith("#"):
            yield reader.line_num, cells


def _arrival(cells: list[str]) -> Arrival:
    if not 2 <= len(cells) <= 4:
        raise ValueError(f"{len(cells)} columns in place of 2 to 4")
    labels = frozenset(cells[3].replace(",", " ").split() if len(cells) > 3 else ())
    checked_labels(labels, "requires")
    return Arrival(
        at_s=_number(cells[0], "arrival_s", 0.0),
        duration_s=_number(cells[1], "duration_s", 0.001),
        agents=_whole(cells[2]) if len(cells) > 2 and cells[2] else AGENTS,
        requires=labels,
    )


def _number(text: str, name: str, least: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value < 1e9:
        raise ValueError(f"{name} {text!r} must be seconds, {least:g} or more")
    return value


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1024:
        raise ValueError(f"agents {text!r} must be a whole number, 1 to 1024")
    return int(text)
