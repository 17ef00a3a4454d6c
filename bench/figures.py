"""Figures, the bars they are held against, and how both are shown. Nothing here asserts."""

import json
import os
import platform
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["Figure", "Report", "median", "percentile", "show", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row: what was measured, in which unit, and the bar, if there is one.

    `at_most` and `at_least` are the bar; `note` says what the value was made of.
    """

    what: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def bar(self) -> str:
        """The bar in words; empty when there is none."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return f"≥ {self.at_least:g}" if self.at_least is not None else ""

    @property
    def verdict(self) -> str:
        """`met`, `missed`, or empty without a bar."""
        if self.at_most is None and self.at_least is None:
            return ""
        above = self.at_least is None or self.value >= self.at_least
        below = self.at_most is None or self.value <= self.at_most
        return "met" if above and below else "missed"


@dataclass(slots=True)
class Report:
    """What one benchmark found. `rounds` are the raw figures, round by round."""

    name: str
    title: str
    command: str
    figures: list[Figure] = field(default_factory=list)
    rounds: list[Mapping[str, Any]] = field(default_factory=list)
    setup: dict[str, Any] = field(default_factory=dict)

    def add(self, what: str, value: float, unit: str, **bar: Any) -> None:
        """Appends a figure."""
        self.figures.append(Figure(what=what, value=value, unit=unit, **bar))


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which that share of them lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Iterable[float]) -> float:
    """The middle value, or the mean of the two in the middle."""
    return statistics.median(list(values))


def number(value: float) -> str:
    """Three digits that matter, as people read them: `12 400`, `3.72`, `0.018`."""
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def show(report: Report, console: Console) -> None:
    """Prints the report as a table."""
    table = Table(title=report.title, title_justify="left", expand=False)
    for name in ("what", "measured", "unit", "bar", "", "note"):
        table.add_column(name, justify="right" if name == "measured" else "left")
    for figure in report.figures:
        table.add_row(
            figure.what, number(figure.value), figure.unit, figure.bar, figure.verdict, figure.note
        )
    console.print(table)


def write(reports: Sequence[Report], folder: Path) -> None:
    """Writes `results/<name>.json` for each, and RESULTS.md from every result in the folder."""
    results = folder / "results"
    results.mkdir(parents=True, exist_ok=True)
    for report in reports:
        entry = {
            "name": report.name,
            "title": report.title,
            "command": report.command,
            "measured": time.strftime("%Y-%m-%d", time.gmtime()),
            "machine": machine(),
            "setup": report.setup,
            "figures": [{**asdict(figure), "verdict": figure.verdict} for figure in report.figures],
            "rounds": report.rounds,
        }
        (results / f"{report.name}.json").write_text(json.dumps(entry, indent=1) + "\n", "utf-8")
    (folder / "RESULTS.md").write_text(markdown(results), "utf-8")


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    memory_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    packages = ("celery", "kombu", "billiard", "redis", "fixwurx-celery")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory_gb),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
    }


ORDER = (
    "admission",
    "submit",
    "end_to_end",
    "heavy_tail",
    "failover",
    "executor",
    "engine_seam",
    "sandbox",
    "scaling_tick",
    "scaling",
    "scaling_knobs",
    "monitoring",
)


def markdown(results: Path) -> str:
    """RESULTS.md: each benchmark's table, with how to run it again."""
    lines = [
        "# Measured",
        "",
        "Written by `make bench`. Ratios are medians of ratios taken round by round, the systems",
        "taking turns on the same store and machine; absolute figures move with the machine, and",
        "differences under 15 % are noise. Raw rounds lie in `results/*.json`.",
        "",
    ]
    for name in ORDER:
        file = results / f"{name}.json"
        if not file.exists():
            continue
        entry = json.loads(file.read_text("utf-8"))
        setup = "; ".join(f"{key}: {value}" for key, value in entry["setup"].items())
        about = entry["machine"]
        lines += [
            f"## {entry['title']}",
            "",
            f"Again: `{entry['command']}`. Measured {entry['measured']} on {about['cores']} cores, "
            f"Python {about['python']}, Celery {about['packages']['celery']}. {setup}.",
            "",
            "| what | bar | measured | unit | | note |",
            "|---|---|---:|---|---|---|",
        ]
        for figure in entry["figures"]:
            verdict = figure.pop("verdict")
            row = Figure(**figure)
            cells = (row.what, row.bar, number(row.value), row.unit, verdict, row.note)
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)
