"""Statements that are too many, in the wrong order, or in the wrong block."""

from collections.abc import Iterator, Sequence

import libcst as cst

from fixwurx_celery.engine.analyst.mutate.blocks import (
    Statement,
    function_of,
    indented,
    last_block,
    lines_of,
)
from fixwurx_celery.engine.analyst.mutate.edit import Edit, spliced
from fixwurx_celery.engine.analyst.mutate.source import Source, Span


def edits(source: Source) -> Iterator[Edit]:
    """Yield the edits that drop, swap and move statements."""
    for node in source.nodes:
        if isinstance(node, cst.IndentedBlock):
            yield from _block(source, node)


def _block(source: Source, block: cst.IndentedBlock) -> Iterator[Edit]:
    body = [item for item in block.body if source.lines(item)]
    if not body or function_of(source, block) is None:
        return
    spans = [lines_of(source, item) for item in body]
    indent = source.indent(source.span(body[0])[0])
    for index, item in enumerate(body):
        start, end = spans[index]
        yield from _dropped(source, body, index, (start, end), indent)
        if index + 1 < len(body):
            after = spans[index + 1]
            middle = source.text[end : after[0]]
            first, second = source.text[start:end], source.text[after[0] : after[1]]
            new = f"{second}{middle}{first}"
            at = body[index + 1] if isinstance(item, cst.FunctionDef) else item
            yield spliced(source, (start, after[1]), new, "statements swapped", 0.35, at)
            inner = last_block(item)
            if inner is not None and inner.body:
                deeper = source.indent(source.span(inner.body[-1])[0])
                text = indented(second, indent, deeper)
                yield spliced(source, after, text, "moved into block", 0.45, body[index + 1])
                nested = last_block(inner.body[-1])
                if nested is not None and nested.body:
                    deeper = source.indent(source.span(nested.body[-1])[0])
                    text = indented(second, indent, deeper)
                    yield spliced(source, after, text, "moved into block", 0.25, body[index + 1])
        yield from _unconditional(source, item, (start, end), indent)
    yield from _moved_out(source, block, body, spans, indent)


def _dropped(
    source: Source, body: Sequence[Statement], index: int, span: Span, indent: str
) -> Iterator[Edit]:
    item = body[index]
    new = f"{indent}pass\n" if len(body) == 1 else ""
    if isinstance(item, cst.SimpleStatementLine):
        small = item.body[0]
        if isinstance(small, cst.Import | cst.ImportFrom | cst.Global | cst.Nonlocal | cst.Pass):
            return
        if isinstance(small, cst.Expr) and isinstance(small.value, cst.SimpleString):
            return
        weight = 0.25 if isinstance(small, cst.Return) else 0.45
        yield spliced(source, span, new, "statement dropped", weight, item)
    elif isinstance(item, cst.If):
        yield spliced(source, span, new, "statement dropped", 0.35, item)
    elif isinstance(item, cst.For | cst.While):
        yield spliced(source, span, new, "statement dropped", 0.1, item)


def _unconditional(source: Source, item: Statement, span: Span, indent: str) -> Iterator[Edit]:
    """Yield a block without its condition or loop."""
    if not isinstance(item, cst.If | cst.For | cst.While) or item.orelse is not None:
        return
    if not isinstance(item.body, cst.IndentedBlock) or not item.body.body:
        return
    first = lines_of(source, item.body.body[0])[0]
    inner = source.indent(source.span(item.body.body[0])[0])
    text = indented(source.text[first : span[1]], inner, indent)
    yield spliced(source, span, text, "condition dropped", 0.2, item)


def _moved_out(
    source: Source,
    block: cst.IndentedBlock,
    body: Sequence[Statement],
    spans: Sequence[Span],
    indent: str,
) -> Iterator[Edit]:
    parent = source.parents.get(block)
    if len(body) < 2 or isinstance(parent, cst.FunctionDef | cst.ClassDef) or parent is None:
        return
    outer = source.indent(source.span(parent)[0])
    last = body[-1]
    start, end = spans[-1]
    if getattr(parent, "orelse", None) is None:
        text = indented(source.text[start:end], indent, outer)
        yield spliced(source, (start, end), text, "moved out of block", 0.45, last)
        above = source.parents.get(source.parents.get(parent, parent), parent)
        if not isinstance(above, cst.FunctionDef | cst.Module | cst.ClassDef):
            further = source.indent(source.span(above)[0])
            text = indented(source.text[start:end], indent, further)
            yield spliced(source, (start, end), text, "moved out of block", 0.25, last)
    # before the loop or condition
    head = source.text.rfind("\n", 0, source.span(parent)[0]) + 1
    if isinstance(parent, cst.For | cst.While | cst.If) and not source.text.startswith(
        "elif", source.span(parent)[0]
    ):
        for index in {0, len(body) - 1}:
            first, final = spans[index]
            moved = indented(source.text[first:final], indent, outer)
            text = moved + source.text[head:first]
            yield spliced(source, (head, final), text, "moved before block", 0.25, body[index])
