"""A picture of one run: demand and capacity, nodes, and waiting over time. Needs matplotlib."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from fixwurx_celery.errors import FixwurxError, InputError
from fixwurx_celery.simulation.outcome import Outcome, Sample

__all__ = ["FORMATS", "draw"]

FORMATS: Final = (".svg", ".png")
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"
"""Told apart by those who see fewer colours, too (Okabe and Ito)."""


def draw(outcome: Outcome, title: str, path: Path) -> None:
    """Writes the picture; the same run gives the same file.

    Raises InputError for another format than svg or png, FixwurxError where matplotlib is missing
    or the file cannot be written.
    """
    if path.suffix not in FORMATS:
        raise InputError([f"{path} must end in {' or '.join(FORMATS)}"])
    try:
        # Figures of their own need no display, and leave pyplot's state alone.
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise FixwurxError(
            "a plot needs matplotlib; install it with: pip install 'fixwurx-celery[plot]'"
        ) from error
    with rc_context({"svg.hashsalt": "fixwurx", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(9, 5.4), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True)
        _agents(upper, outcome.samples)
        _nodes(lower, outcome.samples)
        figure.suptitle(title, x=0.01, ha="left")
        try:
            figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else {})
        except OSError as error:
            raise FixwurxError(f"{path} cannot be written: {error.strerror}") from error


def _agents(axes: Any, samples: Sequence[Sample]) -> None:
    hours, demand = _steps(samples, [one.demand for one in samples])
    axes.fill_between(
        hours, demand, step="post", color=ORANGE, alpha=0.3, label="at work or asked for"
    )
    hours, capacity = _steps(samples, [one.capacity for one in samples])
    axes.step(hours, capacity, where="post", color=BLUE, linewidth=1.2, label="that serve")
    axes.set_ylabel("agents")
    _finish(axes)


def _nodes(axes: Any, samples: Sequence[Sample]) -> None:
    for name, colour, counts in (
        ("serving", BLUE, [one.serving for one in samples]),
        ("starting", GREEN, [one.starting for one in samples]),
        ("draining", GREY, [one.draining for one in samples]),
    ):
        hours, values = _steps(samples, counts)
        axes.step(hours, values, where="post", color=colour, linewidth=1.2, label=name)
    axes.set_ylabel("nodes")
    axes.set_xlabel("time (h)")
    _finish(axes)


def _finish(axes: Any) -> None:
    axes.set_ylim(bottom=0)
    axes.margins(x=0)
    axes.grid(alpha=0.3)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False)


def _steps(samples: Sequence[Sample], values: Sequence[int]) -> tuple[list[float], list[int]]:
    """Where the value changes, and the end: the line is the same, the file much smaller."""
    kept = [
        i for i, value in enumerate(values) if i in (0, len(values) - 1) or value != values[i - 1]
    ]
    return [samples[i].at_s / 3600 for i in kept], [values[i] for i in kept]
