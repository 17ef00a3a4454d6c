"""Every edit of a file, from all makers."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

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

NEGLECTED = 2.5  # a name that is bound and not used is a trace of what is missing
WORD = re.compile(r"[^\W\d]\w*")
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
    by_line = _neglected(source)
    for make in MAKERS:
        for edit in make(source):
            old = source.text[edit.start : edit.end]
            if old == edit.text:
                continue
            names = by_line.get(edit.line)
            if names and names & (set(WORD.findall(edit.text)) - set(WORD.findall(old))):
                edit = replace(edit, weight=min(1.0, edit.weight * NEGLECTED))
            yield edit


def _neglected(source: Source) -> dict[int, set[str]]:
    """Return, for each line, the names that its function binds and then forgets."""
    found: dict[int, set[str]] = {}
    forgotten = source.unused()
    stale = source.stale()
    for scope in {*forgotten, *stale}:
        names = forgotten.get(scope, set()) | stale.get(scope, set())
        if names:
            for line in source.lines(scope.node):
                found.setdefault(line, set()).update(names)
    return found
