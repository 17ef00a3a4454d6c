"""Expressions replaced by, or joined with, others of the same function."""

from collections.abc import Iterator

import libcst as cst

from fixwurx_celery.engine.analyst.mutate.edit import Edit, replaced
from fixwurx_celery.engine.analyst.mutate.precedence import wrap
from fixwurx_celery.engine.analyst.mutate.source import Source

LONGEST = 40  # longer ingredients are hardly ever what is missing
PLACES = (
    cst.Return, cst.Assign, cst.AugAssign, cst.Arg, cst.For, cst.CompFor, cst.Index, cst.Slice,
    cst.Element, cst.Comparison, cst.ComparisonTarget, cst.BinaryOperation, cst.Yield,
    cst.DictElement, cst.ListComp, cst.GeneratorExp, cst.SetComp, cst.DictComp, cst.IfExp,
    cst.FormattedStringExpression, cst.Lambda,
)  # fmt: skip


def edits(source: Source) -> Iterator[Edit]:
    """Yield the edits that put ingredients of the function in the place of its expressions."""
    for node in source.nodes:
        if (
            isinstance(node, cst.BaseExpression)
            and isinstance(source.parents.get(node), PLACES)
            and source.is_load(node)
            and not isinstance(node, cst.Tuple | cst.FormattedString | cst.Lambda)
        ):
            yield from _exchanged(source, node)
            yield from _joined(source, node)


def _exchanged(source: Source, node: cst.BaseExpression) -> Iterator[Edit]:
    text = source.code(node)
    parent = source.parents.get(node)
    if isinstance(parent, cst.Call) and parent.func is node:
        return
    name = isinstance(node, cst.Name)
    constant = isinstance(node, cst.Integer | cst.SimpleString)
    for other, expression in source.scopes[node].expressions.items():
        if other == text or len(other) > LONGEST or isinstance(expression, cst.Name):
            continue
        if isinstance(expression, cst.Integer | cst.SimpleString | cst.Yield | cst.Lambda):
            continue
        if _is_function_name(source, expression):
            continue
        weight = 0.18
        if type(expression) is type(node):
            weight = 0.3
        elif isinstance(expression, cst.Comparison | cst.BooleanOperation | cst.UnaryOperation):
            weight = 0.06
        elif other in text:
            weight = 0.28  # a part of what stands there
        elif text in other:
            weight = 0.28  # what stands there, with more around it
        elif name or constant:
            weight = 0.16
        yield replaced(source, node, other, "expression", weight)
    if not name:
        kinds = _expected(source, node)
        for variable in source.names_of(node, kinds) if kinds else source.scopes[node].visible():
            if variable != text and variable != "self":
                weight = 0.3 if variable in text else 0.22
                yield replaced(source, node, variable, "expression", weight)


def _expected(source: Source, node: cst.BaseExpression) -> set[str]:
    """Return the types that a name must have to stand where `node` stands; empty: any."""
    parent = source.parents.get(node)
    if isinstance(node, cst.Integer) or isinstance(parent, cst.Index | cst.Slice):
        return {"int", "float", "str"}
    return set()


def _is_function_name(source: Source, node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.Attribute) and isinstance(source.parents.get(node), cst.Call)


def _joined(source: Source, node: cst.BaseExpression) -> Iterator[Edit]:
    """Yield sums, differences and products with what is at hand."""
    parent = source.parents.get(node)
    if isinstance(node, cst.SimpleString | cst.Comparison | cst.BooleanOperation):
        return
    text = source.code(node)
    if text in ("True", "False", "None", "self") or "\n" in text:
        return
    types = source.types_at(node)
    kinds = types.get(text)
    if kinds == {"function"} or (isinstance(node, cst.Name) and text in source.functions()):
        return
    scale = 1.0
    match parent:
        case cst.Return() | cst.Assign() | cst.AugAssign() | cst.Arg():
            scale = 1.0
        case cst.BinaryOperation():
            scale = 0.35
        case cst.Comparison() | cst.ComparisonTarget() | cst.Element() | cst.Yield():
            scale = 0.6
        case _:
            scale = 0.4
    if isinstance(parent, cst.Arg):
        call = source.parents.get(parent)
        if isinstance(call, cst.Call) and source.code(call.func) in ("len", "sorted", "isinstance"):
            scale = 0.15
    numeric = {"int", "float"}
    scope = source.scopes[node]
    others: dict[str, set[str] | None] = {
        name: types.get(name)
        for name in scope.visible()
        if name != "self" and name not in source.functions()
    }
    for name in scope.visible():
        if types.get(name, set()) & {"list", "str", "tuple", "dict", "set"}:
            others.setdefault(f"len({name})", {"int"})
        elif isinstance(parent, cst.BinaryOperation) and name in types:
            others.setdefault(f"[{name}]", {"list"})
    for other, expression in scope.expressions.items():
        joinable = isinstance(
            expression, cst.Subscript | cst.Attribute | cst.Call | cst.BinaryOperation
        )
        if joinable and len(other) <= 24 and not _is_function_name(source, expression):
            others.setdefault(other, None)
    for other, their in others.items():
        if other == text:
            continue
        named = their is not None
        if kinds and their and not kinds & their and not (kinds & numeric and their & numeric):
            continue
        weight = scale * (0.25 if named else 0.12)
        left, right = wrap_product(text), wrap(other)
        yield replaced(source, node, f"{left} + {right}", "operand added", weight)
        swapped = f"{wrap_product(other)} + {text if ' if ' not in text else wrap(text)}"
        if not (kinds and kinds & numeric) or (their and their & {"list", "str"}):
            yield replaced(source, node, swapped, "operand added", weight * 0.9)
        if (kinds is None or kinds & numeric) and (their is None or their & numeric):
            yield replaced(source, node, f"{left} - {right}", "operand added", weight)
            yield replaced(source, node, f"{right} - {wrap(text)}", "operand added", weight * 0.5)
            yield replaced(source, node, f"{wrap(text)} * {right}", "operand added", weight * 0.6)
            yield replaced(source, node, f"{wrap(text)} % {right}", "operand added", weight * 0.5)
            yield replaced(source, node, f"{wrap(text)} // {right}", "operand added", weight * 0.3)
            yield replaced(source, node, f"{wrap(text)} / {right}", "operand added", weight * 0.25)
    for number in source.integers:
        if (kinds is None or kinds & numeric) and number not in ("0", "1"):
            for operator in ("+", "-", "*", "//", "%"):
                new = f"{wrap(text)} {operator} {number}"
                yield replaced(source, node, new, "operand added", 0.12 * scale)


def wrap_product(text: str) -> str:
    """Return `text` so that a sum may be continued behind it."""
    if any(word in text for word in (" if ", " and ", " or ", "not ", " in ", " < ", " == ")):
        return wrap(text)
    if any(sign in text for sign in ("&", "|", "^", "<<", ">>", "lambda")):
        return wrap(text)
    return text
