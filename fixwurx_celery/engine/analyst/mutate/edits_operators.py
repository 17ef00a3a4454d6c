"""Wrong operators: comparison, arithmetic, boolean, augmented; swapped and dropped operands."""

from collections.abc import Iterator

import libcst as cst

from fixwurx_celery.engine.analyst.mutate.edit import Edit, replaced, spliced
from fixwurx_celery.engine.analyst.mutate.precedence import wrap
from fixwurx_celery.engine.analyst.mutate.source import Source

COMPARISONS: dict[str, dict[str, float]] = {
    "<": {"<=": 1.0, ">": 0.8, ">=": 0.6, "!=": 0.3, "==": 0.25},
    "<=": {"<": 1.0, ">=": 0.8, ">": 0.6, "==": 0.25, "!=": 0.2},
    ">": {">=": 1.0, "<": 0.8, "<=": 0.6, "!=": 0.3, "==": 0.25},
    ">=": {">": 1.0, "<=": 0.8, "<": 0.6, "==": 0.25, "!=": 0.2},
    "==": {"!=": 0.8, "<=": 0.5, ">=": 0.5, ">": 0.35, "<": 0.35, "in": 0.2, "is": 0.15},
    "!=": {"==": 0.8, "<": 0.45, ">": 0.45, "<=": 0.3, ">=": 0.3, "not in": 0.15, "is not": 0.15},
    "in": {"not in": 0.7, "==": 0.2},
    "not in": {"in": 0.7, "!=": 0.2},
    "is": {"is not": 0.7, "==": 0.25},
    "is not": {"is": 0.7, "!=": 0.25},
}
ARITHMETIC: dict[str, dict[str, float]] = {
    "+": {"-": 0.8, "*": 0.5, "|": 0.15, "//": 0.15, "%": 0.15, "^": 0.1},
    "-": {"+": 0.8, "*": 0.3, "//": 0.2, "%": 0.2, "/": 0.15, "^": 0.1, "&": 0.15},
    "*": {"+": 0.55, "//": 0.4, "**": 0.4, "/": 0.35, "-": 0.3, "%": 0.2},
    "/": {"//": 0.85, "*": 0.6, "%": 0.3, "-": 0.2},
    "//": {"%": 0.7, "/": 0.7, "*": 0.4, "-": 0.25, "+": 0.2, ">>": 0.1},
    "%": {"//": 0.75, "/": 0.3, "*": 0.3, "-": 0.3, "+": 0.2, "&": 0.15},
    "**": {"*": 0.7, "+": 0.2, "%": 0.2, "//": 0.2},
    "&": {"|": 0.75, "^": 0.55, "-": 0.2, "%": 0.15, "+": 0.1},
    "|": {"&": 0.75, "^": 0.55, "+": 0.3, "-": 0.25},
    "^": {"&": 0.75, "|": 0.6, "**": 0.5, "-": 0.2, "+": 0.2},
    "<<": {">>": 0.8, "*": 0.2, "**": 0.15},
    ">>": {"<<": 0.8, "//": 0.3, "&": 0.15},
    "@": {"*": 0.4},
}
UNORDERED = {"*", "&", "|", "^"}


def edits(source: Source) -> Iterator[Edit]:
    """Yield the edits of operators and of their operands."""
    for node in source.nodes:
        match node:
            case cst.Comparison():
                yield from _comparison(source, node)
            case cst.BinaryOperation():
                yield from _binary(source, node)
            case cst.BooleanOperation():
                yield from _boolean(source, node)
            case cst.UnaryOperation():
                yield from _unary(source, node)
            case cst.AugAssign():
                yield from _augmented(source, node)
            case cst.Assign() if len(node.targets) == 1:
                yield from _keyed(source, node)
                yield from _assign(source, node)
            case _:
                pass


def _comparison(source: Source, node: cst.Comparison) -> Iterator[Edit]:
    left = node.left
    for target in node.comparisons:
        span = source.span(target.operator)
        operator = source.text[slice(*span)]
        # the span of a two-word operator may hold other white space
        operator = " ".join(operator.split())
        for other, weight in COMPARISONS.get(operator, {}).items():
            yield spliced(source, span, other, "comparison", weight, target)
            for bound in (left, target.comparator):
                if isinstance(bound, cst.Integer):
                    for number in (int(bound.value, 0) + 1, int(bound.value, 0) - 1):
                        start, stop = source.span(bound)
                        first, last = sorted([span, (start, stop)])
                        texts = {span: other, (start, stop): str(number)}
                        middle = source.text[first[1] : last[0]]
                        yield spliced(
                            source,
                            (first[0], last[1]),
                            f"{texts[first]}{middle}{texts[last]}",
                            "comparison and bound",
                            0.2 if operator == "==" else 0.1,
                            target,
                        )
        if operator in ("in", "not in") and len(node.comparisons) == 1:
            text = f"{source.code(target.comparator)} {operator} {source.code(left)}"
            yield replaced(source, node, text, "operands swapped", 0.15)
        left = target.comparator
    if len(node.comparisons) > 1:
        head = node.comparisons[0]
        start, end = source.outer_span(node.left)[0], source.outer_span(head)[1]
        yield replaced(source, node, source.text[start:end], "chained comparison", 0.25)
        rest = source.text[source.outer_span(head.comparator)[0] : source.span(node)[1]]
        yield replaced(source, node, rest, "chained comparison", 0.25)


def _binary(source: Source, node: cst.BinaryOperation) -> Iterator[Edit]:
    span = source.span(node.operator)
    operator = source.text[slice(*span)]
    for other, weight in ARITHMETIC.get(operator, {}).items():
        yield spliced(source, span, other, "operator", weight, node.operator)
    left, right = source.code(node.left), source.code(node.right)
    texty = isinstance(node.left, cst.Integer) or isinstance(node.right, cst.Integer)
    if operator not in UNORDERED and not (operator == "+" and texty):
        weight = 0.45 if operator in ("-", "+", "/", "//", "%") else 0.3
        swapped = f"{wrap(right)} {operator} {wrap(left)}"
        yield replaced(source, node, swapped, "operands swapped", weight)
    if operator == "*" and isinstance(node.left, cst.List):
        element = source.text[slice(*source.span(node.left))][1:-1]
        text = f"[{element} for _ in range({right})]"
        plain = isinstance(node.left.elements[0].value, cst.Integer) if node.left.elements else True
        yield replaced(source, node, text, "shared element", 0.1 if plain else 0.8)
        yield replaced(source, node, f"list(range({right}))", "initial value", 0.3)
    yield replaced(source, node, left, "operand dropped", 0.4 if texty else 0.3)
    yield replaced(source, node, right, "operand dropped", 0.25)
    inner = node.left
    if isinstance(inner, cst.BinaryOperation):  # (a op b) op c -> a op (b op c)
        a, b = source.code(inner.left), source.code(inner.right)
        text = f"{a} {source.text[slice(*source.span(inner.operator))]} ({b} {operator} {right})"
        yield replaced(source, node, text, "grouping", 0.25)
    inner = node.right
    if isinstance(inner, cst.BinaryOperation):
        a, b = source.code(inner.left), source.code(inner.right)
        text = f"({left} {operator} {a}) {source.text[slice(*source.span(inner.operator))]} {b}"
        yield replaced(source, node, text, "grouping", 0.3)


def _boolean(source: Source, node: cst.BooleanOperation) -> Iterator[Edit]:
    other = "or" if isinstance(node.operator, cst.And) else "and"
    yield spliced(
        source, source.span(node.operator), other, "boolean operator", 0.85, node.operator
    )
    yield replaced(source, node, source.code(node.left), "clause dropped", 0.5)
    yield replaced(source, node, source.code(node.right), "clause dropped", 0.5)
    inner = node.right
    if isinstance(inner, cst.BooleanOperation):  # a and (b or c) -> a or (b and c)
        first, last = source.outer_span(inner)
        start, end = source.span(inner.operator)
        own = source.text[slice(*source.span(node.operator))]
        flipped = f"{source.text[first:start]}{own}{source.text[end:last]}"
        text = f"{source.code(node.left)} {other} {flipped}"
        yield replaced(source, node, text, "boolean operator", 0.4)
    middle = "and" if other == "or" else "or"
    text = f"{source.code(node.right)} {middle} {source.code(node.left)}"
    yield replaced(source, node, text, "operands swapped", 0.3)


def _unary(source: Source, node: cst.UnaryOperation) -> Iterator[Edit]:
    kind = "not dropped" if isinstance(node.operator, cst.Not) else "sign dropped"
    yield replaced(source, node, source.code(node.expression), kind, 0.65)
    if isinstance(node.operator, cst.BitInvert):
        yield spliced(source, source.span(node.operator), "-", "operator", 0.3, node)


def _augmented(source: Source, node: cst.AugAssign) -> Iterator[Edit]:
    span = source.span(node.operator)
    operator = source.text[slice(*span)]
    for other, weight in ARITHMETIC.get(operator[:-1], {}).items():
        yield spliced(source, span, f"{other}=", "augmented operator", weight, node)
    yield spliced(source, span, "=", "augmented operator", 0.5, node)
    target, value = source.code(node.target), source.code(node.value)
    whole = source.span(node)
    for call in ("max", "min"):
        text = f"{target} = {call}({target}, {value})"
        yield spliced(source, whole, text, "accumulation", 0.3, node)
    if operator == "+=":
        text = f"{target} = {wrap(value)} + {target}"
        yield spliced(source, whole, text, "operands swapped", 0.35, node)
    elif operator == "-=":
        text = f"{target} = {wrap(value)} - {target}"
        yield spliced(source, whole, text, "operands swapped", 0.2, node)
    for name in source.names_of(node, {"int", "float"}):
        if name != target:
            yield spliced(source, whole, f"{target} = {name}", "accumulation", 0.3, node)
            text = f"{target} = {name} {operator[:-1]} {wrap(value)}"
            yield spliced(source, whole, text, "accumulation", 0.3, node)
    if isinstance(node.target, cst.Subscript):
        owner, key = source.code(node.target.value), source.code(node.target.slice[0])
        for default in ("0", "[]", "''"):
            text = f"{target} = {owner}.get({key}, {default}) {operator[:-1]} {wrap(value)}"
            yield spliced(source, whole, text, "missing key", 0.4, node)


def _keyed(source: Source, node: cst.Assign) -> Iterator[Edit]:
    """Yield what may be meant by an item that is set."""
    target = node.targets[0].target
    if not isinstance(target, cst.Subscript) or len(target.slice) != 1:
        return
    owner, key = source.code(target.value), source.code(target.slice[0])
    value, whole = source.code(node.value), source.span(node)
    texts = {
        f"{owner}[{value}] = {key}": 0.5,
        f"{owner}.setdefault({key}, {value})": 0.3,
        f"{owner}[{key}].append({value})": 0.25,
        f"{owner}.setdefault({key}, []).append({value})": 0.25,
        f"{owner}[{key}] = {owner}.get({key}, 0) + {wrap(value)}": 0.3,
    }
    if isinstance(node.value, cst.List) and len(node.value.elements) == 1:
        inner = source.code(node.value.elements[0].value)
        texts[f"{owner}.setdefault({key}, []).append({inner})"] = 0.6
    for text, weight in texts.items():
        yield spliced(source, whole, text, "item set", weight, node)


def _assign(source: Source, node: cst.Assign) -> Iterator[Edit]:
    target, value = node.targets[0].target, node.value
    if isinstance(target, cst.Tuple):
        return
    start, end = source.span(target)[1], source.outer_span(value)[0]
    first = not isinstance(target, cst.Name) or _assigned_elsewhere(source, node, target.value)
    for operator, weight in (("+=", 0.5), ("-=", 0.3), ("*=", 0.25), ("|=", 0.15), ("//=", 0.15)):
        scale = 1.0 if first else 0.15
        text = f" {operator} "
        yield spliced(source, (start, end), text, "accumulation", weight * scale, node)
    name, text = source.code(target), source.code(value)
    whole = source.outer_span(value)
    if first:
        for call in ("max", "min"):
            new = f"{call}({name}, {text})"
            yield spliced(source, whole, new, "accumulation", 0.5, node)


def _assigned_elsewhere(source: Source, node: cst.Assign, name: str) -> bool:
    scope = source.scopes[node]
    return name in scope.params or any(
        isinstance(other, cst.Name)
        and other.value == name
        and source.is_store(other)
        and source.scopes[other] is scope
        and source.line(other) < source.line(node)
        for other in source.nodes
    )
