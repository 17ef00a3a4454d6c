"""Every edit of a file, from all makers."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import libcst as cst

from fixwurx_celery.engine.analyst.mutate import (
    edits_blocks,
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
from fixwurx_celery.engine.analyst.mutate.neglect import (
    stale_attributes,
    stale_names,
    unused_names,
)
from fixwurx_celery.engine.analyst.mutate.source import Scope, Source

NEGLECTED = 2.5  # a name that is bound and not used is a trace of what is missing
RAISING = 1.7  # where an exception ended the test, a check was forgotten more often than not
CAUTIOUS = {"guard added", "clause added", "missing key", "call added", "bound added"}
ASSIGNING = {"statement added", "assigned variable", "result kept"}
CHANGE = re.compile(r"\s*((?:self\.)?[^\W\d]\w*)\s*(?:[-+*|]?=(?!=)|\.|\[)")
WORD = re.compile(r"[^\W\d]\w*")
MAKERS: tuple[Callable[[Source], Iterator[Edit]], ...] = (
    edits_operators.edits,
    edits_constants.edits,
    edits_names.edits,
    edits_slices.edits,
    edits_calls.edits,
    edits_conditions.edits,
    edits_blocks.edits,
    edits_statements.edits,
    edits_expressions.edits,
)


def edits(source: Source) -> Iterator[Edit]:
    """Yield the edits of one file, in no particular order."""
    unused = _by_line(source, unused_names(source))
    stale = _by_line(source, stale_names(source))
    attributes = {f"self.{name}" for name in stale_attributes(source)}
    raising = _functions_of(source, source.raised)
    for make in MAKERS:
        for edit in make(source):
            old = source.text[edit.start : edit.end]
            if old == edit.text:
                continue
            weight = edit.weight
            forgotten = unused.get(edit.line)
            if forgotten and forgotten & (set(WORD.findall(edit.text)) - set(WORD.findall(old))):
                weight *= NEGLECTED
            elif (
                edit.kind in ASSIGNING
                and edit.line in stale
                and (match := WORD.match(edit.text.lstrip()))
            ):
                behind = edit.text.lstrip()[match.end() :].lstrip()[:2]
                if match[0] in stale[edit.line] and behind[:1] in ("=", "+", "-", ".", "["):
                    weight *= NEGLECTED if behind != "==" else 1.0
            elif edit.kind in ASSIGNING:
                match = CHANGE.match(edit.text)
                if match and (match[1] in stale.get(edit.line, ()) or match[1] in attributes):
                    weight *= NEGLECTED
            if edit.kind in CAUTIOUS and edit.line in raising:
                weight *= RAISING
            yield edit if weight == edit.weight else replace(edit, weight=min(1.0, weight))


def _by_line(source: Source, forgotten: Mapping[Scope, set[str]]) -> dict[int, set[str]]:
    """Return, for each line, the names that its function binds and then forgets."""
    found: dict[int, set[str]] = {}
    for scope, names in forgotten.items():
        if names:
            for line in source.lines(scope.node):
                found.setdefault(line, set()).update(names)
    return found


def _functions_of(source: Source, lines: set[int]) -> set[int]:
    """Return every line of the functions that `lines` lie in."""
    found: set[int] = set()
    for node, scope in source.scopes.items():
        if isinstance(node, cst.FunctionDef) and scope is not None:
            inside = source.lines(node)
            if any(line in inside for line in lines):
                found.update(inside)
    return found
