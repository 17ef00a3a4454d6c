"""Wrong, missing and superfluous calls: functions, methods, wrappers, exceptions, types."""

from collections.abc import Iterator

import libcst as cst

from fixwurx_celery.engine.analyst.mutate.edit import Edit, replaced, spliced
from fixwurx_celery.engine.analyst.mutate.precedence import wrap
from fixwurx_celery.engine.analyst.mutate.source import Source
from fixwurx_celery.engine.analyst.mutate.vocabulary import (
    EXCEPTIONS,
    FUNCTIONS,
    METHOD_WRAPPERS,
    METHODS,
    SORT_KEYS,
    TYPES,
    WRAPPERS,
)


def edits(source: Source) -> Iterator[Edit]:
    """Yield the edits of calls, and of what may have to be called on or around a value."""
    for node in source.nodes:
        match node:
            case cst.Call():
                yield from _function(source, node)
                yield from _unwrapped(source, node)
                yield from _added_argument(source, node)
            case cst.Name(value=name) if name in EXCEPTIONS:
                for other in EXCEPTIONS:
                    yield replaced(source, node, other, "exception", 0.35)
            case _:
                pass
        if isinstance(node, cst.BaseExpression) and source.is_load(node):
            yield from _wrapped(source, node)


def _function(source: Source, node: cst.Call) -> Iterator[Edit]:
    func = node.func
    if isinstance(func, cst.Name):
        for group in FUNCTIONS:
            if func.value in group:
                for other in group:
                    weight = 0.75 if len(group) == 2 else 0.3
                    yield replaced(source, func, other, "function", weight)
        if func.value == "isinstance" and len(node.args) == 2:
            for other in TYPES:
                yield replaced(source, node.args[1].value, other, "type", 0.3)
    elif isinstance(func, cst.Attribute):
        span = source.span(func.attr)
        name = func.attr.value
        for group in METHODS:
            if name in group:
                for other in group:
                    weight = 0.65 if len(group) <= 3 else 0.4
                    yield spliced(source, span, other, "method", weight, func.attr)
        if isinstance(func.value, cst.Name) and func.value.value in ("math", "itertools", "heapq"):
            for group in FUNCTIONS:
                if name in group:
                    for other in group:
                        yield spliced(source, span, other, "method", 0.5, func.attr)
        owner = source.code(func.value)
        for text in source.calls:
            head, dot, other = text.rpartition(".")
            if dot and other != name and (head == owner or owner == "self"):
                yield spliced(source, span, other, "method", 0.3, func.attr)
        for other in source.methods():
            if other != name and owner == "self":
                yield spliced(source, span, other, "method", 0.3, func.attr)


def _unwrapped(source: Source, node: cst.Call) -> Iterator[Edit]:
    positional = [arg for arg in node.args if not arg.keyword and not arg.star]
    for arg in positional[:3]:
        text = source.code(arg.value)
        if isinstance(arg.value, cst.GeneratorExp):
            text = text if text.startswith("(") else f"({text})"
        recursive = source.code(node.func) in source.functions()
        weight = 0.4 if len(positional) == 1 else 0.25
        yield replaced(source, node, text, "call dropped", weight + (0.1 if recursive else 0.0))
    if isinstance(node.func, cst.Attribute):
        value = source.code(node.func.value)
        if value not in ("self", "math", "re", "itertools", "heapq", "os", "json"):
            yield replaced(source, node, value, "call dropped", 0.35)
    if not node.args:
        yield replaced(source, node, source.code(node.func), "call dropped", 0.1)


def _added_argument(source: Source, node: cst.Call) -> Iterator[Edit]:
    name = source.code(node.func).rpartition(".")[2]
    end = source.span(node)[1] - 1
    behind = source.text[:end].rstrip()
    comma = "" if behind.endswith(("(", ",")) else ", "
    if comma and len(node.args) == 1 and isinstance(node.args[0].value, cst.GeneratorExp):
        return

    def add(text: str, weight: float) -> Edit:
        place = len(behind)
        return spliced(source, (place, end), f"{comma}{text}", "argument added", weight, node)

    known = {arg.keyword.value for arg in node.args if arg.keyword}
    if name in ("sorted", "sort"):
        if "reverse" not in known:
            yield add("reverse=True", 0.5)
        if "key" not in known:
            for key in SORT_KEYS:
                yield add(f"key={key}", 0.25)
    elif name in ("max", "min"):
        yield add("0", 0.2)
        yield add("default=0", 0.25)
        yield add("default=None", 0.15)
        if "key" not in known:
            yield add("key=len", 0.25)
            for function in source.scopes[node].visible():
                yield add(f"key={function}.get", 0.05)
    elif name == "pop":
        for text, weight in (("0", 0.5), ("-1", 0.2), ("None", 0.1)):
            if not node.args or text == "None":
                yield add(text, weight)
    elif name in ("enumerate",):
        yield add("1", 0.4)
        yield add("start=1", 0.2)
    elif name in ("zip", "zip_longest"):
        yield add("fillvalue=0", 0.1)
        yield add("strict=True", 0.1)
    elif name in ("split", "rsplit", "replace"):
        yield add("1", 0.4)
        yield add("maxsplit=1", 0.15)
        if not node.args:
            for text in ("','", "' '", "'\\n'"):
                yield add(text, 0.25)
    elif name == "get" and len(node.args) == 1:
        for text in ("0", "[]", "''", "1", "{}", "float('inf')", "set()"):
            yield add(text, 0.35)
    elif name == "round":
        for text in ("1", "2", "3"):
            yield add(text, 0.25)
    elif name == "int":
        for text in ("2", "16", "8", "10"):
            yield add(text, 0.15)
    elif name == "join":
        yield from ()
    else:
        own = source.functions().get(name)
        weight = 0.2 if own is not None else 0.04
        if name not in source.functions():
            weight = 0.04
        for text, expression in source.scopes[node].expressions.items():
            if isinstance(expression, cst.Attribute) and weight > 0.1:
                yield add(text, weight)
        for variable in source.scopes[node].visible():
            missing = isinstance(own, cst.FunctionDef) and variable in [
                param.name.value for param in own.params.params[len(node.args) :]
            ]
            yield add(variable, 0.7 if missing else weight * 1.3)
            if isinstance(own, cst.FunctionDef) or name in known:
                for param in own.params.params if isinstance(own, cst.FunctionDef) else ():
                    if param.name.value == variable:
                        yield add(f"{variable}={variable}", weight)
        for text in ("0", "1", "-1", "None", "[]", "True"):
            yield add(text, weight)
    if name in ("int", "float", "str", "len") or not node.args:
        return
    if name in ("sum",):
        yield add("[]", 0.15)
        yield add("1", 0.08)


def _wrapped(source: Source, node: cst.BaseExpression) -> Iterator[Edit]:
    parent = source.parents.get(node)
    if not isinstance(
        parent,
        cst.Return | cst.Assign | cst.AugAssign | cst.Arg | cst.For | cst.CompFor | cst.Element
        | cst.Comparison | cst.ComparisonTarget | cst.BinaryOperation | cst.DictElement
        | cst.Index | cst.Yield | cst.IfExp | cst.ListComp | cst.GeneratorExp | cst.Slice
        | cst.FormattedStringExpression | cst.Subscript | cst.Attribute | cst.DictComp | cst.Expr
        | cst.SetComp | cst.If | cst.While | cst.UnaryOperation | cst.BooleanOperation,
    ):  # fmt: skip
        return
    if isinstance(parent, cst.Call) and parent.func is node:
        return
    if isinstance(node, cst.SimpleString | cst.Integer | cst.Float | cst.Lambda | cst.Yield):
        return
    text = source.code(node)
    kinds: set[str] | None = None
    if isinstance(node, cst.Name):
        if node.value in ("self", "cls", "None", "True", "False") or (
            node.value not in source.scopes[node].visible()
        ):
            return
        kinds = source.types_at(node).get(node.value)
    scale = 1.0 if isinstance(parent, cst.Return | cst.Assign | cst.Arg | cst.For) else 0.5
    if isinstance(parent, cst.BinaryOperation | cst.Subscript | cst.Attribute):
        scale = 0.4
    outer = source.parents.get(parent) if isinstance(parent, cst.Arg) else None
    around = source.code(outer.func) if isinstance(outer, cst.Call) else ""
    bare = text[1:-1] if isinstance(node, cst.GeneratorExp) and text.startswith("(") else text
    for name, weight in WRAPPERS.items():
        if name != around and _sensible(name, kinds):
            yield replaced(source, node, f"{name}({bare})", "call added", weight * scale)
    for method, weight in METHOD_WRAPPERS.items():
        if _sensible(method, kinds):
            new = f"{wrap(text)}{method}"
            yield replaced(source, node, new, "call added", weight * scale)
    if kinds is None or kinds & {"int", "float"}:
        for bound, weight in (("0", 0.4), ("1", 0.2)):
            yield replaced(source, node, f"max({bare}, {bound})", "bound added", weight * scale)
            yield replaced(source, node, f"min({bare}, {bound})", "bound added", weight * 0.2)
        for variable in source.names_of(node, {"int", "float"}):
            if variable != text:
                yield replaced(
                    source, node, f"max({bare}, {variable})", "bound added", 0.22 * scale
                )
                yield replaced(
                    source, node, f"min({bare}, {variable})", "bound added", 0.22 * scale
                )
    if kinds is None or not kinds & {"int", "float", "bool", "NoneType", "dict"}:
        for joint in ("''", "' '"):
            yield replaced(source, node, f"{joint}.join({bare})", "call added", 0.25 * scale)
        for joint in list(source.strings)[:8]:
            if len(joint) <= 4:
                for method in ("strip", "rstrip", "lstrip"):
                    new = f"{wrap(text)}.{method}({joint})"
                    yield replaced(source, node, new, "call added", 0.12 * scale)
    if around == "len":
        new = f"sum(len(part) for part in {wrap(text)})"
        if isinstance(outer, cst.Call):
            yield replaced(source, outer, new, "call added", 0.15)
    if isinstance(node, cst.Name | cst.Call | cst.Attribute | cst.Subscript | cst.BinaryOperation):
        yield replaced(source, node, f"[{bare}]", "brackets added", 0.2 * scale)
        yield replaced(source, node, f"-{wrap(bare)}", "sign added", 0.25 * scale)
        if kinds is None or kinds & {"int", "float"}:
            yield replaced(source, node, f"{wrap(bare)} ** 2", "operand added", 0.18 * scale)
            yield replaced(source, node, f"{wrap(bare)} * 2", "operand added", 0.1 * scale)
            yield replaced(source, node, f"{wrap(bare)} // 2", "operand added", 0.1 * scale)


def _sensible(call: str, kinds: set[str] | None) -> bool:
    """Whether `call` is worth trying on a value of one of `kinds`."""
    if kinds is None:
        return True
    numeric = bool(kinds & {"int", "float", "Decimal", "Fraction", "complex"})
    texty = bool(kinds & {"str", "bytes"})
    if call in (".strip()", ".lower()", ".upper()", ".split()"):
        return texty
    if call in (".items()", ".values()", ".keys()"):
        return bool(kinds & {"dict", "defaultdict", "Counter", "OrderedDict"})
    if call in ("abs", "round", "float"):
        return numeric or texty
    if call in ("len", "list", "sorted", "set", "reversed", "tuple", "sum", ".copy()", "enumerate"):
        return bool(kinds - {"int", "float", "bool", "NoneType", "function"})
    return True
