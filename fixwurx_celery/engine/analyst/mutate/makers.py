"""Every edit of a file, from all makers."""

from collections.abc import Callable, Iterator

from fixwurx_celery.engine.analyst.mutate import edits_constants, edits_operators
from fixwurx_celery.engine.analyst.mutate.edit import Edit
from fixwurx_celery.engine.analyst.mutate.source import Source

MAKERS: tuple[Callable[[Source], Iterator[Edit]], ...] = (
    edits_operators.edits,
    edits_constants.edits,
)


def edits(source: Source) -> Iterator[Edit]:
    """Yield the edits of one file, in no particular order."""
    for make in MAKERS:
        for edit in make(source):
            if source.text[edit.start : edit.end] != edit.text:
                yield edit
