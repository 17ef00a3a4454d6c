"""The `mutate` analyst: small edits of Python programs, ranked, each run in a warm process."""

from fixwurx_celery.engine.analyst.mutate.mutate import Mutate

__all__ = ["Mutate"]
