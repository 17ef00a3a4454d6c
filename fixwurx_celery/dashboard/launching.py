"""Runs Flower as Celery's command line does."""

import difflib
from collections.abc import Sequence

import click
from celery.bin.celery import celery
from flower.options import options as known

__all__ = ["serve"]


def serve(options: Sequence[str]) -> None:
    """Serves until it is told to stop. Raises UsageError for options that cannot be."""
    for option in options:
        check(option)
    celery.main(
        ["-A", "fixwurx_celery", "flower", *options], prog_name="celery", standalone_mode=False
    )


def check(option: str) -> None:
    """Flower passes over what it does not know, so that a slip of the hand would be taken for
    done."""
    name = option.lstrip("-").partition("=")[0].replace("-", "_")
    if not option.startswith("--"):
        raise click.UsageError(f"Flower takes options only, written --name=value; not {option!r}")
    if name not in known:
        near = difflib.get_close_matches(name, [str(one) for one in known], n=1)
        meant = f" Did you mean --{near[0]}?" if near else ""
        raise click.UsageError(f"Flower has no option --{name}.{meant}")
