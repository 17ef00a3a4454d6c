"""Wrong slices, indices and ranges: bounds missing, too many, or one off; swapped dimensions."""

from collections.abc import Iterator

import libcst as cst

from fixwurx_celery.engine.analyst.mutate.edit import Edit, replaced, spliced
from fixwurx_celery.engine.analyst.mutate.precedence import wrap
from fixwurx_celery.engine.analyst.mutate.source import Source


def edits(source: Source) -> Iterator[Edit]:
    """Yield the edits of subscripts and of calls of range."""
    for node in source.nodes:
        match node:
            case cst.Subscript():
                yield from _subscript(source, node)
            case cst.Slice():
                yield from _slice(source, node)
            case cst.Call(func=cst.Name(value="range")):
                yield from _range(source, node)
            case _:
                pass
        if isinstance(node, cst.Name) and source.is_load(node):
            yield from _looked_up(source, node)
        if isinstance(
            node,
            cst.Name | cst.Call | cst.Attribute | cst.ListComp | cst.Subscript | cst.List,
        ) and source.is_load(node):
            yield from _sliced(source, node)


def _numbers(source: Source, node: cst.CSTNode) -> list[str]:
    """Return the local names that hold whole numbers, all of them where no types are known."""
    return source.names_of(node, {"int"})


def _subscript(source: Source, node: cst.Subscript) -> Iterator[Edit]:
    value = source.code(node.value)
    items = node.slice
    inner = node.value
    if len(items) == 1 and isinstance(items[0].slice, cst.Index):
        index = items[0].slice.value
        text = source.code(index)
        yield from _indices(source, index, text)
        if isinstance(inner, cst.Subscript) and len(inner.slice) == 1:
            first = source.code(inner.slice[0].slice)
            new = f"{source.code(inner.value)}[{text}][{first}]"
            yield replaced(source, node, new, "dimensions swapped", 0.45)
        if source.is_load(node):
            yield replaced(source, node, value, "index dropped", 0.25)
            yield replaced(source, node, f"{value}[{text}:]", "index made slice", 0.15)
            yield replaced(source, node, f"{value}[:{text}]", "index made slice", 0.15)
            yield replaced(source, node, f"{value}.get({text})", "missing key", 0.15)
            for default in ("0", "[]", "None", "''"):
                new = f"{value}.get({text}, {default})"
                yield replaced(source, node, new, "missing key", 0.1)
    elif len(items) == 1:
        yield replaced(source, node, value, "slice dropped", 0.3)
    elif len(items) == 2 and all(isinstance(item.slice, cst.Index) for item in items):
        first, second = (source.code(item.slice) for item in items)
        new = f"{value}[{second}, {first}]"
        yield replaced(source, node, new, "dimensions swapped", 0.45)


def _indices(source: Source, index: cst.BaseExpression, text: str) -> Iterator[Edit]:
    if isinstance(index, cst.SimpleString):
        return
    yield replaced(source, index, f"-{wrap(text)}", "index", 0.25)
    if isinstance(index, cst.Integer):
        for name in _numbers(source, index):
            yield replaced(source, index, name, "index", 0.45)
    if not isinstance(index, cst.Integer):
        for other, weight in (("-1", 0.3), ("0", 0.3), ("1", 0.15)):
            yield replaced(source, index, other, "index", weight)
        yield replaced(source, index, f"-{wrap(text)} - 1", "index", 0.15)
        for name in _numbers(source, index):
            if name not in text:
                yield replaced(source, index, f"{text} + {name}", "index", 0.15)
                yield replaced(source, index, f"{text} - {name}", "index", 0.15)
                yield replaced(source, index, f"{name} - {wrap(text)}", "index", 0.1)


def _slice(source: Source, node: cst.Slice) -> Iterator[Edit]:
    span = source.span(node)
    lower = source.code(node.lower) if node.lower else ""
    upper = source.code(node.upper) if node.upper else ""
    step = source.code(node.step) if node.step else ""

    def variant(low: str, high: str, by: str, weight: float) -> Edit:
        text = f"{low}:{high}" + (f":{by}" if by else "")
        return spliced(source, span, text, "slice", weight, node)

    if lower:
        yield variant("", upper, step, 0.4)
        yield variant(lower, lower, step, 0.05)
    if upper:
        yield variant(lower, "", step, 0.4)
    if step:
        yield variant(lower, upper, "", 0.35)
        negative = step[1:] if step.startswith("-") else f"-{wrap(step)}"
        yield variant(lower, upper, negative, 0.35)
    else:
        yield variant(lower, upper, "-1", 0.2)
        yield variant(lower, upper, "2", 0.12)
    if not lower:
        for text in ("1", "-1", "2"):
            yield variant(text, upper, step, 0.4 if text == "1" else 0.15)
    if not upper:
        for text in ("-1", "1", "-2"):
            yield variant(lower, text, step, 0.4 if text == "-1" else 0.12)
    if lower and not upper:
        yield variant("", lower, step, 0.5)
    if upper and not lower:
        yield variant(upper, "", step, 0.5)
    if lower and upper:
        yield variant(upper, lower, step, 0.25)
        yield variant(lower, f"{lower} + {wrap(upper)}", step, 0.35)
        yield variant(lower, f"{upper} - {wrap(lower)}", step, 0.15)
    if lower and not upper:
        yield variant(f"-{wrap(lower)}", "", step, 0.25)
    if upper and not lower:
        yield variant("", f"-{wrap(upper)}", step, 0.25)
    for name in _numbers(source, node):
        if not lower:
            yield variant(name, upper, step, 0.25)
        if not upper:
            yield variant(lower, name, step, 0.25)
        if not step:
            yield variant(lower, upper, name, 0.1)


def _range(source: Source, node: cst.Call) -> Iterator[Edit]:
    args = [source.code(arg.value) for arg in node.args if not arg.star and not arg.keyword]

    def variant(*texts: str, weight: float) -> Edit:
        return replaced(source, node, f"range({', '.join(texts)})", "range", weight)

    whole = f"range({', '.join(args)})"
    yield replaced(source, node, f"reversed({whole})", "range", 0.25)
    if len(args) == 1:
        for start in ("1", "2"):
            yield variant(start, args[0], weight=0.5 if start == "1" else 0.2)
        yield variant("1", f"{wrap_sum(args[0])} + 1", weight=0.35)
        yield variant(f"{wrap_sum(args[0])} - 1", "-1", "-1", weight=0.25)
        yield variant(args[0], "0", "-1", weight=0.15)
        for name in _numbers(source, node):
            yield variant(name, args[0], weight=0.3)
            yield variant(f"{name} + 1", args[0], weight=0.35)
            yield variant(args[0], name, weight=0.08)
    elif len(args) == 2:
        low, high = args
        yield variant(high, weight=0.3)
        yield variant(high, low, weight=0.2)
        yield variant(high, low, "-1", weight=0.2)
        yield variant(low, high, "-1", weight=0.3)
        yield variant(low, high, "2", weight=0.15)
        yield variant(f"{wrap_sum(high)} - 1", f"{wrap_sum(low)} - 1", "-1", weight=0.2)
        for name in _numbers(source, node):
            if name not in (low, high):
                yield variant(low, high, name, weight=0.3)
        yield variant(low, high, low, weight=0.3)
    elif len(args) == 3:
        low, high, step = args
        yield variant(low, high, weight=0.3)
        negative = step[1:] if step.startswith("-") else f"-{wrap(step)}"
        yield variant(low, high, negative, weight=0.3)
        yield variant(high, low, step, weight=0.25)
        yield variant(high, low, negative, weight=0.15)


def wrap_sum(text: str) -> str:
    """Return `text` so that a sum may be continued behind it."""
    return text if " + " in text or " - " in text else wrap(text)


def _looked_up(source: Source, node: cst.Name) -> Iterator[Edit]:
    """Yield the item of a mapping or list that a name may be the key of."""
    if not isinstance(
        source.parents.get(node),
        cst.Return | cst.Assign | cst.Arg | cst.Element | cst.Yield | cst.BinaryOperation,
    ):
        return
    types = source.types_at(node)
    kinds = types.get(node.value, {"str", "int"})
    for name in source.scopes[node].visible():
        owner = types.get(name, {"dict"} if name in source.top.constants else set())
        if name == node.value:
            continue
        if owner & {"dict", "defaultdict", "Counter", "OrderedDict"}:
            yield replaced(source, node, f"{name}[{node.value}]", "looked up", 0.3)
            yield replaced(source, node, f"{name}.get({node.value})", "looked up", 0.12)
        elif owner & {"list", "tuple", "str"} and "int" in kinds:
            yield replaced(source, node, f"{name}[{node.value}]", "looked up", 0.25)


def _sliced(source: Source, node: cst.BaseExpression) -> Iterator[Edit]:
    """Yield slices of what is a sequence, where a part of it may be meant."""
    parent = source.parents.get(node)
    sequences = {"list", "str", "tuple", "bytes", "deque"}
    if isinstance(node, cst.Name):
        kinds = source.types_at(node).get(node.value)
        if kinds is not None and not kinds & sequences:
            return
        if node.value not in source.scopes[node].visible():
            return
    match parent:
        case cst.For() | cst.CompFor():
            weight = 0.3
        case cst.Arg():
            call = source.parents.get(parent)
            weight = 0.2 if isinstance(call, cst.Call) and call.func is not node else 0.0
        case cst.Return() | cst.Assign():
            weight = 0.22
        case cst.BinaryOperation():
            weight = 0.15
        case _:
            weight = 0.0
    if not weight:
        return
    text = source.code(node)
    for part in ("[1:]", "[:-1]", "[::-1]", "[:]"):
        yield replaced(source, node, f"{text}{part}", "slice added", weight)
    yield replaced(source, node, f"{text}[0]", "index added", weight * 0.8)
    yield replaced(source, node, f"{text}[-1]", "index added", weight * 0.8)
    yield replaced(source, node, f"{text}[1]", "index added", weight * 0.5)
    for name in _numbers(source, node):
        if name != text:
            yield replaced(source, node, f"{text}[{name}:]", "slice added", weight * 0.7)
            yield replaced(source, node, f"{text}[:{name}]", "slice added", weight * 0.7)
            yield replaced(source, node, f"{text}[{name}]", "index added", weight * 0.7)
