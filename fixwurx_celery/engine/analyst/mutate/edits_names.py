"""Wrong variables, attributes and arguments; swapped elements and targets."""

import difflib
from collections.abc import Iterator
from itertools import combinations

import libcst as cst

from fixwurx_celery.engine.analyst.mutate.edit import Edit, replaced, spliced
from fixwurx_celery.engine.analyst.mutate.source import Source

KEPT_NAMES = {"self", "cls", "True", "False", "None", "print"}
PAIRED_ATTRIBUTES = (
    {"left", "right", "parent", "root"},
    {"next", "prev", "previous", "head", "tail"},
    {"low", "high", "lo", "hi"},
    {"start", "end", "stop", "begin"},
    {"x", "y", "z"},
    {"width", "height"},
    {"row", "col", "column", "line"},
    {"key", "value", "name"},
    {"year", "month", "day", "hour", "minute", "second"},
    {"days", "seconds", "total_seconds()", "microseconds"},
    {"numerator", "denominator"},
    {"real", "imag"},
    {"first", "last"},
    {"min", "max"},
)


def edits(source: Source) -> Iterator[Edit]:
    """Yield the edits of names, attributes, arguments and unpacking."""
    for node in source.nodes:
        match node:
            case cst.Name():
                if source.is_load(node):
                    yield from _variable(source, node)
                elif source.is_store(node):
                    yield from _target(source, node)
            case cst.Attribute():
                yield from _attribute(source, node)
            case cst.Call():
                yield from _arguments(source, node)
            case cst.Tuple() | cst.List():
                yield from _elements(source, node)
            case cst.Subscript() if source.is_store(node):
                yield from _stored_subscript(source, node)
            case cst.DictComp():
                key, value = source.code(node.key), source.code(node.value)
                span = (source.outer_span(node.key)[0], source.outer_span(node.value)[1])
                yield spliced(source, span, f"{value}: {key}", "elements swapped", 0.35, node)
            case cst.DictElement():
                key, value = source.code(node.key), source.code(node.value)
                yield spliced(
                    source, source.span(node), f"{value}: {key}", "elements swapped", 0.2, node
                )
            case _:
                pass


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _variable(source: Source, node: cst.Name) -> Iterator[Edit]:
    """Yield the other names in sight; those of the same types first."""
    if node.value == "self" and isinstance(source.parents.get(node), cst.Attribute):
        for name in source.scopes[node].params:
            yield replaced(source, node, name, "variable", 0.3)
    if node.value in KEPT_NAMES:
        return
    scope = source.scopes[node]
    parent = source.parents.get(node)
    called = isinstance(parent, cst.Call) and parent.func is node
    types = source.types_at(node)
    kinds = types.get(node.value)
    if called:
        for name in source.functions():
            if name != node.value:
                weight = 0.25 + 0.15 * _likeness(name, node.value)
                yield replaced(source, node, name, "function", weight)
        return
    for name in scope.visible():
        if name == node.value or name in KEPT_NAMES:
            continue
        others = types.get(name)
        weight = 0.4
        if kinds is not None and others is not None:
            weight = 0.55 if kinds & others else 0.12
        if isinstance(source.functions().get(name), cst.FunctionDef):
            weight = 0.05
        weight += 0.1 * _likeness(name, node.value)
        yield replaced(source, node, name, "variable", weight)
    for attribute in source.attributes:
        owner = source.attribute_owners.get(attribute, {})
        for text in owner:
            if text == node.value:
                yield replaced(source, node, f"{text}.{attribute}", "attribute added", 0.22)
            elif text == "self" and attribute == node.value.lstrip("_"):
                yield replaced(source, node, f"self.{attribute}", "attribute added", 0.5)
            elif text == "self":
                yield replaced(source, node, f"self.{attribute}", "attribute added", 0.15)
    if isinstance(parent, cst.Call | cst.Attribute):
        return
    for text, expression in scope.expressions.items():
        # the same name, called or indexed as it is elsewhere in the function
        if isinstance(expression, cst.Subscript | cst.Call) and text.startswith(node.value):
            yield replaced(source, node, text, "part of variable", 0.2)


def _target(source: Source, node: cst.Name) -> Iterator[Edit]:
    scope = source.scopes[node]
    parent = source.parents.get(node)
    if isinstance(parent, cst.For | cst.CompFor | cst.Element):
        return
    types = source.types_at(node)
    kinds = types.get(node.value)
    for name in scope.visible():
        if name != node.value and name not in KEPT_NAMES and name not in source.functions():
            others = types.get(name)
            same = kinds is None or others is None or bool(kinds & others)
            yield replaced(source, node, name, "assigned variable", 0.3 if same else 0.12)
    for attribute, owners in source.attribute_owners.items():
        if "self" in owners and not isinstance(parent, cst.NamedExpr):
            weight = 0.4 if attribute.strip("_") == node.value.strip("_") else 0.12
            yield replaced(source, node, f"self.{attribute}", "assigned variable", weight)
    for text, other in scope.expressions.items():
        if isinstance(other, cst.Subscript | cst.Attribute) and "(" not in text:
            yield replaced(source, node, text, "assigned variable", 0.12)


def _stored_subscript(source: Source, node: cst.Subscript) -> Iterator[Edit]:
    scope = source.scopes[node]
    text = source.code(node)
    for other, expression in scope.expressions.items():
        if isinstance(expression, cst.Subscript | cst.Name) and other != text:
            usable = isinstance(expression, cst.Subscript) or other in scope.names
            if usable:
                yield replaced(source, node, other, "assigned variable", 0.22)


def _attribute(source: Source, node: cst.Attribute) -> Iterator[Edit]:
    name = node.attr.value
    parent = source.parents.get(node)
    called = isinstance(parent, cst.Call) and parent.func is node
    if called:
        return
    paired: set[str] = set()
    for group in PAIRED_ATTRIBUTES:
        if name in group:
            paired |= group
    value = source.code(node.value)
    for other in source.attributes:
        if other == name:
            continue
        near = other in paired or any(
            owner == value or owner.split("[")[0] == value.split("[")[0]
            for owner in source.attribute_owners.get(other, {})
        )
        text = f"{value}.{other}"
        weight = (0.55 if near else 0.15) + 0.1 * _likeness(other, name)
        yield replaced(source, node, text, "attribute", weight)
    for other in paired - set(source.attributes):
        yield replaced(source, node, f"{value}.{other}", "attribute", 0.15)
    if source.is_load(node):
        if not isinstance(node.value, cst.Name) or node.value.value not in ("self", "cls", "math"):
            yield replaced(source, node, value, "attribute dropped", 0.35)
        yield replaced(source, node, f"{value}.{name}.{name}", "attribute added", 0.3)
        if value == "self":
            yield replaced(source, node, name, "attribute dropped", 0.25)
    types = source.types_at(node)
    kinds = types.get(value)
    if isinstance(node.value, cst.Name) and value in types:
        for other in source.scopes[node].visible():
            if other != value and kinds and types.get(other, set()) & kinds:
                yield replaced(source, node, f"{other}.{name}", "variable", 0.5)


def _arguments(source: Source, node: cst.Call) -> Iterator[Edit]:
    args = [arg for arg in node.args if not arg.keyword and not arg.star]
    texts = [source.code(arg.value) for arg in args]
    spans = [source.outer_span(arg.value) for arg in args]
    for first, second in combinations(range(len(args)), 2):
        if texts[first] == texts[second]:
            continue
        span = (spans[first][0], spans[second][1])
        middle = source.text[spans[first][1] : spans[second][0]]
        new = f"{texts[second]}{middle}{texts[first]}"
        yield spliced(source, span, new, "arguments swapped", 0.55, node)
    if len(args) == 3:
        for turn in ((1, 2, 0), (2, 0, 1)):
            span = (spans[0][0], spans[2][1])
            new = ", ".join(texts[index] for index in turn)
            yield spliced(source, span, new, "arguments swapped", 0.3, node)
    every = [source.code(arg).rstrip().rstrip(",") for arg in node.args]
    if not node.args:
        return
    whole = (source.span(node.args[0])[0], source.span(node.args[-1])[1])
    if len(node.args) > 1:
        for index, arg in enumerate(node.args):
            rest = ", ".join(text for place, text in enumerate(every) if place != index)
            weight = 0.3 if arg.keyword else 0.25
            yield spliced(source, whole, rest, "argument dropped", weight, node)
    for index, arg in enumerate(node.args):
        if arg.star == "*":
            rest = ", ".join([*every[:index], source.code(arg.value), *every[index + 1 :]])
            yield spliced(source, whole, rest, "star dropped", 0.35, node)
        elif not arg.keyword and len(node.args) == 1 and not arg.star:
            text = f"*{source.code(arg.value)}"
            yield spliced(source, whole, text, "star added", 0.1, node)


def _elements(source: Source, node: cst.Tuple | cst.List) -> Iterator[Edit]:
    """Yield swapped elements, of tuples that are built, unpacked to, or iterated with."""
    count = len(node.elements)
    if not 2 <= count <= 8:
        return
    spans = [
        source.span(e) if isinstance(e, cst.StarredElement) else source.outer_span(e.value)
        for e in node.elements
    ]
    texts = [source.text[start:end].rstrip(", ") for start, end in spans]
    spans = [(start, start + len(text)) for (start, _), text in zip(spans, texts, strict=True)]
    weight = 0.5 if isinstance(node, cst.Tuple) else 0.2
    for first, second in combinations(range(count), 2):
        if texts[first] == texts[second]:
            continue
        middle = source.text[spans[first][1] : spans[second][0]]
        new = f"{texts[second]}{middle}{texts[first]}"
        scale = 1.0 if count <= 3 or second - first == 1 else 0.4
        span = (spans[first][0], spans[second][1])
        # the element's own line, so that a table of many lines is judged line by line
        at = node.elements[first].value if isinstance(node, cst.List) else node
        yield spliced(source, span, new, "elements swapped", weight * scale, at)
    if count == 3:
        for turn in ((1, 2, 0), (2, 0, 1)):
            new = ", ".join(texts[index] for index in turn)
            span = (spans[0][0], spans[2][1])
            yield spliced(source, span, new, "elements swapped", weight * 0.6, node)
