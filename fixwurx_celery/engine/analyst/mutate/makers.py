"""Every edit of a file, from all makers."""

from collections.abc import Callable, Iterator

from fixwurx_celery.engine.analyst.mutate import (
    edits_calls,
    edits_conditions,
    edits_constants,
    edits_expressions,
    edits_names,
    edits_operators,
    edits_slices,
    edits_statements,
)
from fixwurx_celery.engine.analyst.mutate.edit import Edit
from fixwurx_celery.engine.analyst.mutate.source import Source

MAKERS: tuple[Callable[[Source], Iterator[Edit]], ...] = (
    edits_operators.edits,
    edits_constants.edits,
    edits_names.edits,
    edits_slices.edits,
    edits_calls.edits,
    edits_conditions.edits,
    edits_statements.edits,
    edits_expressions.edits,
)


def edits(source: Source) -> Iterator[Edit]:
    """Yield the edits of one file, in no particular order."""
    for make in MAKERS:
        for edit in make(source):
            if source.text[edit.start : edit.end] != edit.text:
                yield edit
