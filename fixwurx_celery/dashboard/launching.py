"""Runs Flower as Celery's command line does."""

from collections.abc import Sequence

from celery.bin.celery import celery

__all__ = ["serve"]


def serve(options: Sequence[str]) -> None:
    """Serves until it is told to stop. Raises ClickException for options that cannot be."""
    celery.main(
        ["-A", "fixwurx_celery", "flower", *options], prog_name="celery", standalone_mode=False
    )
