"""Statements that are missing or the wrong ones: guards, returns, yields, jumps, updates."""

from collections.abc import Iterator

import libcst as cst

from fixwurx_celery.engine.analyst.mutate.blocks import (
    Statement,
    function_of,
    lines_of,
    loop_of,
)
from fixwurx_celery.engine.analyst.mutate.edit import Edit, replaced, spliced
from fixwurx_celery.engine.analyst.mutate.ingredients import conditions, results, statements
from fixwurx_celery.engine.analyst.mutate.source import Source

INSERTED_MAX = 250  # per place: the likeliest of what the function's names allow
GUARDS_MAX = 300


def edits(source: Source) -> Iterator[Edit]:
    """Yield the edits of whole statements."""
    for node in source.nodes:
        match node:
            case cst.IndentedBlock():
                yield from _inserted(source, node)
            case cst.Return():
                yield from _return(source, node)
            case cst.Yield():
                yield from _yield(source, node)
            case cst.Expr() if isinstance(node.value, cst.Call | cst.BinaryOperation):
                yield from _bare_value(source, node)
            case cst.Break():
                for word, weight in (("continue", 0.5), ("pass", 0.3), ("return", 0.1)):
                    yield spliced(source, source.span(node), word, "jump", weight, node)
            case cst.Continue():
                for word, weight in (("break", 0.5), ("pass", 0.3)):
                    yield spliced(source, source.span(node), word, "jump", weight, node)
            case cst.Pass():
                for word in ("continue", "break", "return", "raise"):
                    yield spliced(source, source.span(node), word, "jump", 0.3, node)
                for text, weight in results(source, node).items():
                    new = f"return {text}"
                    yield spliced(source, source.span(node), new, "return", 0.3 * weight, node)
            case cst.Raise():
                yield spliced(source, source.span(node), "pass", "statement dropped", 0.2, node)
            case cst.FunctionDef():
                yield from _function(source, node)
            case _:
                pass


def _inserted(source: Source, block: cst.IndentedBlock) -> Iterator[Edit]:
    """Yield statements and guards at every place of a block."""
    body = [item for item in block.body if source.lines(item)]
    if not body or function_of(source, block) is None:
        return
    spans = [lines_of(source, item) for item in body]
    indent = source.indent(source.span(body[0])[0])
    unit = source.module.default_indent
    loop = loop_of(source, block)
    starts_function = source.parents.get(block) is function_of(source, block)
    starts_loop = isinstance(source.parents.get(block), cst.For | cst.While)
    at_node = body[0]
    scale = 0.32
    found = dict(statements(source, at_node))
    if loop is not None:
        found["break"] = 0.7
        found["continue"] = 0.6
    for text, weight in results(source, at_node).items():
        found.setdefault(f"return {text}", 0.35 * weight)
    chosen = sorted(found.items(), key=lambda pair: -pair[1])[:INSERTED_MAX]
    places: list[tuple[int, Statement]] = [
        (span[0], item) for span, item in zip(spans, body, strict=True)
    ]
    if not _jumps(body[-1]):
        places.append((spans[-1][1], body[-1]))
    for place, item in places:
        if isinstance(item, cst.SimpleStatementLine) and _is_docstring(item):
            continue
        beside = source.code(item) if isinstance(item, cst.SimpleStatementLine) else ""
        for text, weight in chosen:
            if text == beside:
                continue
            new = f"{indent}{text}\n"
            if place == len(source.text) and not source.text.endswith("\n"):
                new = f"\n{indent}{text}"
            yield spliced(source, (place, place), new, "statement added", scale * weight, item)
    guards = sorted(conditions(source, at_node).items(), key=lambda pair: -pair[1])
    answers = sorted(results(source, at_node).items(), key=lambda pair: -pair[1])
    for order, (place, item) in enumerate(places):
        if isinstance(item, cst.SimpleStatementLine) and _is_docstring(item):
            continue
        early = 1.0 if order == 0 or (order == 1 and starts_loop) else 0.6
        made: list[tuple[float, str]] = []
        for text, weight in guards:
            if loop is not None:
                made.append((0.5 * weight * early, f"if {text}:\n{indent}{unit}continue"))
                made.append((0.35 * weight * early, f"if {text}:\n{indent}{unit}break"))
            for answer, likely in answers[:14]:
                base = 0.6 if starts_function else 0.3
                if not starts_function and not starts_loop and loop is None:
                    base = 0.35
                new = f"if {text}:\n{indent}{unit}return {answer}"
                made.append((base * weight * likely * early, new))
        made.sort(key=lambda pair: -pair[0])
        for weight, text in made[:GUARDS_MAX]:
            new = f"{indent}{text}\n"
            yield spliced(source, (place, place), new, "guard added", 0.42 * weight, item)


def _jumps(item: Statement) -> bool:
    return isinstance(item, cst.SimpleStatementLine) and isinstance(
        item.body[-1], cst.Return | cst.Raise | cst.Break | cst.Continue
    )


def _is_docstring(item: cst.SimpleStatementLine) -> bool:
    small = item.body[0]
    return isinstance(small, cst.Expr) and isinstance(
        small.value, cst.SimpleString | cst.ConcatenatedString
    )


def _return(source: Source, node: cst.Return) -> Iterator[Edit]:
    span = source.span(node)
    found = results(source, node)
    text = source.code(node.value) if node.value is not None else ""
    if node.value is None:
        for answer, weight in found.items():
            yield spliced(source, span, f"return {answer}", "return", 0.5 * weight, node)
        return
    for answer, weight in found.items():
        yield replaced(source, node.value, answer, "return", 0.38 * weight)
    yield spliced(source, span, "return", "return", 0.1, node)
    if isinstance(node.value, cst.Call):
        yield spliced(source, span, text, "return dropped", 0.25, node)
    yield spliced(source, span, f"yield {text}", "return made yield", 0.2, node)
    yield spliced(source, span, f"yield from {text}", "return made yield", 0.15, node)
    if loop_of(source, node) is not None:
        for word in ("continue", "break"):
            yield spliced(source, span, word, "jump", 0.25, node)


def _yield(source: Source, node: cst.Yield) -> Iterator[Edit]:
    if node.value is None:
        return
    if isinstance(node.value, cst.From):
        inner = source.code(node.value.item)
        yield replaced(source, node, f"yield {inner}", "yield", 0.6)
        yield replaced(source, node, inner, "yield", 0.1)
    else:
        inner = source.code(node.value)
        yield replaced(source, node, f"yield from {inner}", "yield", 0.6)
        yield replaced(source, node, f"yield [{inner}]", "yield", 0.2)
        yield replaced(source, node, f"return {inner}", "yield", 0.05)
        for name in source.scopes[node].visible():
            if name != inner:
                yield replaced(source, node, f"yield {name}", "yield", 0.25)


def _bare_value(source: Source, node: cst.Expr) -> Iterator[Edit]:
    """Yield what can be done with a value that is computed and thrown away."""
    text = source.code(node.value)
    span = source.span(node)
    own = isinstance(node.value, cst.Call) and (
        source.code(node.value.func).rpartition(".")[2] in {*source.functions(), *source.methods()}
    )
    weight = 0.6 if own else 0.25
    yield spliced(source, span, f"return {text}", "return added", weight, node)
    yield spliced(source, span, f"yield from {text}", "return added", weight * 0.8, node)
    yield spliced(source, span, f"yield {text}", "return added", weight * 0.3, node)
    for arg in node.value.args if isinstance(node.value, cst.Call) else ():
        if isinstance(arg.value, cst.Name | cst.Attribute | cst.Subscript):
            new = f"{source.code(arg.value)} = {text}"
            yield spliced(source, span, new, "result kept", weight * 0.8, node)
    for name in source.scopes[node].visible():
        if name not in ("self", "cls") and name not in source.functions():
            yield spliced(source, span, f"{name} = {text}", "result kept", weight * 0.5, node)
            yield spliced(source, span, f"{name} += {text}", "result kept", weight * 0.4, node)
            yield spliced(source, span, f"{name}.extend({text})", "result kept", weight * 0.3, node)
            yield spliced(source, span, f"{name}.append({text})", "result kept", weight * 0.3, node)
    if own:
        deeper = source.indent(span[0]) + source.module.default_indent
        new = f"if {text}:\n{deeper}return True"
        yield spliced(source, span, new, "return added", 0.3, node)


def _function(source: Source, node: cst.FunctionDef) -> Iterator[Edit]:
    """Yield missing declarations, defaults that are shared, and decorators."""
    if not isinstance(node.body, cst.IndentedBlock) or not node.body.body:
        return
    scope = source.scopes.get(node.body)
    first = node.body.body[0]
    if scope is None:
        return
    place = lines_of(source, first)[0]
    indent = source.indent(source.span(first)[0])
    unit = source.module.default_indent
    outer = scope.outer
    while outer is not None:
        word = "global" if outer.outer is None else "nonlocal"
        for name in scope.names:
            if name in outer.names and name not in scope.params and not outer.is_class:
                new = f"{indent}{word} {name}\n"
                yield spliced(source, (place, place), new, "declaration added", 0.75, first)
        outer = outer.outer
    for param in node.params.params:
        if param.default is not None and source.code(param.default) == "None":
            for value in ("[]", "{}", "set()", "0", "''"):
                name = param.name.value
                new = f"{indent}if {name} is None:\n{indent}{unit}{name} = {value}\n"
                yield spliced(source, (place, place), new, "guard added", 0.5, first)
    for param in [*node.params.params, *node.params.kwonly_params]:
        if isinstance(param.default, cst.List | cst.Dict | cst.Call):
            start, end = source.outer_span(param.default)
            default = source.text[start:end]
            name = param.name.value
            guard = f"{indent}if {name} is None:\n{indent}{unit}{name} = {default}\n"
            new = f"None{source.text[end:place]}{guard}"
            yield spliced(source, (start, place), new, "shared default", 0.8, node)
