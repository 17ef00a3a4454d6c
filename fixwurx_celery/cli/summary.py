"""The table at the end of a run."""

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import click

from fixwurx_celery.cli.progress import about, duration
from fixwurx_celery.cli.table import Column, print_table

__all__ = ["print_summary"]

MOST_ROWS: Final = 200
"""Of more bugs than these only those not fixed are shown; results.jsonl has all."""

COLUMNS: Final = (
    Column(title="bug", is_flexible=True),
    Column(title="outcome"),
    Column(title="time", is_right=True),
    Column(title="node", is_optional=True),
    Column(title="attempts", is_right=True, is_optional=True),
    Column(title="what", is_flexible=True),
)
GOOD: Final = ("FIXED", "DONE")


def print_summary(
    lines: Mapping[str, Mapping[str, Any] | None],
    earlier: Collection[str],
    folder: Path,
    took_s: float,
) -> None:
    """Prints a row for each bug, and what it comes to. A bug without a line never began."""
    shown = list(lines.items())
    if len(shown) > MOST_ROWS:
        shown = [(bug, line) for bug, line in shown if not line or line["outcome"] not in GOOD]
    rows = [row(bug, line, is_earlier=bug in earlier) for bug, line in shown[:MOST_ROWS]]
    click.echo("", err=True)
    if rows:
        print_table(COLUMNS, rows)
    if len(shown) > MOST_ROWS:
        click.echo(f"and {len(shown) - MOST_ROWS} more; see {folder / 'results.jsonl'}")
    counts = Counter(str(line["outcome"]) if line else "not begun" for line in lines.values())
    good = sum(counts.pop(name, 0) for name in GOOD)
    parts = [f"{good} of {len(lines)} fixed"]
    parts += [f"{count} {name.lower().replace('_', ' ')}" for name, count in counts.most_common()]
    click.echo(f"\n{', '.join(parts)}, in {duration(took_s)}; see {folder}/")


def row(bug: str, line: Mapping[str, Any] | None, *, is_earlier: bool) -> list[object]:
    """The cells of one bug."""
    if line is None:
        return [bug, "-", "-", "-", "-", "not begun"]
    node = str(line.get("node") or "-").partition("@")[0]
    took = "-" if line.get("seconds") is None else duration(line["seconds"])
    what = "answered earlier" if is_earlier else about(line)
    return [bug, line["outcome"], took, node, line.get("attempts") or "-", what]
