"""Wrong, missing and inverted conditions, of statements, loops and comprehensions."""

from collections.abc import Iterator

import libcst as cst

from fixwurx_celery.engine.analyst.mutate.edit import Edit, replaced, spliced
from fixwurx_celery.engine.analyst.mutate.ingredients import conditions, negated
from fixwurx_celery.engine.analyst.mutate.precedence import tightness
from fixwurx_celery.engine.analyst.mutate.source import Source


def edits(source: Source) -> Iterator[Edit]:
    """Yield the edits of conditions."""
    for node in source.nodes:
        match node:
            case cst.If():
                yield from _condition(source, node.test, node, 1.0)
                yield from _keyword(source, node)
            case cst.While():
                yield from _condition(source, node.test, node, 1.0)
                start = source.span(node)[0]
                yield spliced(source, (start, start + 5), "if", "loop made condition", 0.2, node)
            case cst.IfExp():
                yield from _condition(source, node.test, node, 0.7)
                text = f"{source.code(node.orelse)} if {source.code(node.test)} else "
                text += source.code(node.body)
                yield replaced(source, node, text, "branches swapped", 0.4)
                yield replaced(source, node, source.code(node.body), "branch dropped", 0.3)
                yield replaced(source, node, source.code(node.orelse), "branch dropped", 0.3)
            case cst.CompIf():
                yield from _condition(source, node.test, node, 0.8)
                start, end = source.span(node)
                start = len(source.text[:start].rstrip())
                yield spliced(source, (start, end), "", "filter dropped", 0.35, node)
            case cst.CompFor():
                if not node.ifs:
                    end = source.outer_span(node.iter)[1]
                    for text, weight in conditions(source, node).items():
                        new = f" if {text}"
                        yield spliced(source, (end, end), new, "filter added", 0.3 * weight, node)
            case cst.Return(value=cst.BaseExpression() as value) if not isinstance(
                value, cst.IfExp | cst.Comparison
            ):
                yield from _result(source, value)
                yield from _either(source, value)
            case cst.Assign():
                yield from _either(source, node.value)
            case cst.Return() if node.value is not None:
                yield from _result(source, node.value)
            case cst.Assert():
                yield replaced(source, node.test, negated(source.code(node.test)), "negation", 0.2)
            case _:
                pass


def _condition(
    source: Source, test: cst.BaseExpression, at: cst.CSTNode, scale: float
) -> Iterator[Edit]:
    text = source.code(test)
    if "\n" in text:
        return
    bare = text if tightness(text) >= 4 else f"({text})"
    new = negated(text) if tightness(text) >= 4 else f"not ({text})"
    yield replaced(source, test, new, "negation", 0.55 * scale)
    for constant in ("True", "False"):
        yield replaced(source, test, constant, "condition", 0.25 * scale)
    guarded = _guarded(source, test)
    bounds = _bounds(source, test)
    for clause in bounds:
        yield replaced(source, test, f"{clause} and {bare}", "clause added", 0.6 * scale)
    truthy = test
    positive = True
    if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
        truthy, positive = test.expression, False
    if isinstance(truthy, cst.Name | cst.Attribute | cst.Subscript | cst.Call):
        word = "is not" if positive else "is"
        subject = source.code(truthy)
        for other in ("None", *source.top.constants):
            weight = 0.75 if other == "None" else 0.45
            yield replaced(source, test, f"{subject} {word} {other}", "truth", weight * scale)
        yield replaced(source, test, f"{subject} {'!=' if positive else '=='} 0", "truth", 0.2)
    endless = text == "True" and isinstance(at, cst.While)
    simple = not isinstance(test, cst.BooleanOperation)
    for other, weight in conditions(source, at).items():
        if other == text or other in text.split(" and ") or other in text.split(" or "):
            continue
        clause = other if tightness(other) >= 4 else f"({other})"
        first = any(clause in (f"{name} is None", f"not {name}") for name in guarded)
        yield replaced(
            source, test, f"{clause} or {text}", "clause added",
            scale * (0.75 if first else 0.3 * weight),
        )  # fmt: skip
        holds = any(clause in (f"{name} is not None", name) for name in guarded)
        yield replaced(
            source, test, f"{clause} and {bare}", "clause added",
            scale * (0.75 if holds else 0.3 * weight),
        )  # fmt: skip
        yield replaced(source, test, f"{text} or {clause}", "clause added", 0.3 * weight * scale)
        yield replaced(source, test, f"{bare} and {clause}", "clause added", 0.3 * weight * scale)
        if simple:
            likely = 0.7 if endless else 0.28
            yield replaced(source, test, other, "condition", likely * weight * scale)
        else:
            yield replaced(source, test, other, "condition", 0.15 * weight * scale)
    if isinstance(test, cst.BooleanOperation):
        for side in (test.left, test.right):
            part = source.code(side)
            other = negated(part) if tightness(part) >= 4 else f"not ({part})"
            yield replaced(source, side, other, "negation", 0.35 * scale)
            for other, weight in conditions(source, at).items():
                if other != part and tightness(other) >= 4:
                    yield replaced(source, side, other, "condition", 0.15 * weight * scale)


def _bounds(source: Source, test: cst.CSTNode) -> list[str]:
    """Return conditions under which the indices that `test` uses exist."""
    found: list[str] = []
    stack = [test]
    while stack:
        node = stack.pop()
        if isinstance(node, cst.Subscript) and len(node.slice) == 1:
            index, owner = source.code(node.slice[0].slice), source.code(node.value)
            if ":" not in index and not index.lstrip("-").isdigit():
                found += [f"{index} < len({owner})", f"{index} >= 0", f"{index} in {owner}"]
        stack += node.children
    return list(dict.fromkeys(found))


def _guarded(source: Source, test: cst.CSTNode) -> set[str]:
    """Return what `test` reads attributes or items of, and so should not be None or empty."""
    found: set[str] = set()
    stack = [test]
    while stack:
        node = stack.pop()
        if isinstance(node, cst.Attribute | cst.Subscript):
            found.add(source.code(node.value))
        stack += node.children
    return found


def _keyword(source: Source, node: cst.If) -> Iterator[Edit]:
    start = source.span(node)[0]
    if source.text.startswith("elif", start):
        yield spliced(source, (start, start + 4), "if", "elif made if", 0.35, node)
        return
    yield spliced(source, (start, start + 2), "while", "condition made loop", 0.25, node)
    parent = source.parents.get(node)
    if isinstance(parent, cst.IndentedBlock | cst.Module):
        index = list(parent.body).index(node)
        if index and isinstance(parent.body[index - 1], cst.If):
            before = parent.body[index - 1]
            if not (isinstance(before, cst.If) and before.orelse):
                yield spliced(source, (start, start + 2), "elif", "if made elif", 0.35, node)


def _either(source: Source, value: cst.BaseExpression) -> Iterator[Edit]:
    """Yield `value if condition else something simple`."""
    text = source.code(value)
    if "\n" in text or len(text) > 60 or isinstance(value, cst.IfExp | cst.Lambda):
        return
    for condition, weight in conditions(source, value).items():
        for other in ("0", "None", "''", "[]"):
            if weight > 0.3:
                new = f"{text} if {condition} else {other}"
                yield replaced(source, value, new, "branch added", 0.14 * weight)


def _result(source: Source, value: cst.BaseExpression) -> Iterator[Edit]:
    """Yield conditions in place of, or joined to, a truth value that is returned."""
    text = source.code(value)
    truth = text in ("True", "False")
    boolean = isinstance(value, cst.Comparison | cst.BooleanOperation | cst.UnaryOperation)
    if not (truth or boolean) or "\n" in text:
        return
    bare = text if tightness(text) >= 4 else f"({text})"
    if not truth:
        yield replaced(source, value, f"not {bare}", "negation", 0.4)
    for other, weight in conditions(source, value).items():
        clause = other if tightness(other) >= 4 else f"({other})"
        yield replaced(source, value, other, "condition", (0.6 if truth else 0.2) * weight)
        if not truth:
            yield replaced(source, value, f"{bare} and {clause}", "clause added", 0.25 * weight)
            yield replaced(source, value, f"{clause} and {bare}", "clause added", 0.2 * weight)
            yield replaced(source, value, f"{text} or {clause}", "clause added", 0.25 * weight)
            yield replaced(source, value, f"{clause} or {text}", "clause added", 0.2 * weight)
