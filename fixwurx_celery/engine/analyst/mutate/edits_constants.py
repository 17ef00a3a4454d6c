"""Wrong constants and off-by-one: numbers, texts, truth values, empty containers."""

import re
from collections.abc import Iterator
from itertools import pairwise

import libcst as cst

from fixwurx_celery.engine.analyst.mutate.edit import Edit, replaced
from fixwurx_celery.engine.analyst.mutate.precedence import wrap
from fixwurx_celery.engine.analyst.mutate.source import Source

OFF_BY_ONE = 0.7
EMPTIES = {
    "[]": {"[[]]": 0.45, "{}": 0.2, "set()": 0.25, "None": 0.2, "''": 0.15, "0": 0.1, "()": 0.1},
    "{}": {"[]": 0.25, "set()": 0.4, "None": 0.2},
    "()": {"[]": 0.3, "None": 0.2},
    "''": {"' '": 0.4, "None": 0.2, "[]": 0.2, "'0'": 0.25},
    '""': {'" "': 0.4, "None": 0.2, "[]": 0.2, '"0"': 0.25},
    "None": {"0": 0.3, "[]": 0.3, "''": 0.2, "{}": 0.15, "False": 0.25, "True": 0.2, "1": 0.1},
    "True": {"False": 0.8, "None": 0.15},
    "False": {"True": 0.8, "None": 0.15},
    "set()": {"[]": 0.2, "{}": 0.3},
}


def edits(source: Source) -> Iterator[Edit]:
    """Yield the edits of constants, and the additions of one to what is not a constant."""
    for node in source.nodes:
        if not isinstance(node, cst.BaseExpression) or not source.is_load(node):
            continue
        match node:
            case cst.Integer():
                yield from _integer(source, node)
            case cst.Float():
                yield from _float(source, node)
            case cst.SimpleString():
                yield from _string(source, node)
            case cst.Name(value="None" | "True" | "False"):
                yield from _empties(source, node)
            case cst.Name() | cst.Call() | cst.Attribute() | cst.Subscript():
                yield from _plus_minus(source, node)
                yield from _empties(source, node)
                yield from _infinity(source, node)
            case cst.BinaryOperation():
                yield from _plus_minus(source, node)
            case cst.List() | cst.Dict() | cst.Tuple():
                yield from _empties(source, node)
            case _:
                pass
    for part in source.of(cst.FormattedStringText):
        start, end = source.span(part)
        for text, weight in _text_variants(source.text[start:end]):
            yield Edit(source.path, start, end, text, "text", weight * 0.5, source.line(part))


def _integer(source: Source, node: cst.Integer) -> Iterator[Edit]:
    try:
        value = int(node.value, 0)
    except ValueError:
        return
    signed = source.parents.get(node)
    negative = isinstance(signed, cst.UnaryOperation) and isinstance(signed.operator, cst.Minus)
    found: dict[str, float] = {}
    found[str(value + 1)] = OFF_BY_ONE
    found[str(value - 1)] = OFF_BY_ONE
    if value in (0, 1) and not negative:
        found["-1"] = max(found.get("-1", 0.0), 0.45)
        found["None"] = 0.12
    for other, weight in ((0, 0.4), (1, 0.4), (2, 0.3), (-value, 0.3), (value * 2, 0.15)):
        found.setdefault(str(other), weight)
    if value > 2:
        for other in (value // 2, value * 10, value // 10, value + 2, value - 2, value * value):
            found.setdefault(str(other), 0.2)
        for power in (10, 16, 26, 32, 60, 100, 256, 1000, 1024, 3600, 400, 365, 366, 24, 12, 7):
            found.setdefault(str(power), 0.1)
        digits = str(value)
        for index in range(len(digits) - 1):  # transposed digits
            swapped = digits[:index] + digits[index + 1] + digits[index] + digits[index + 2 :]
            if swapped[0] != "0":
                found.setdefault(swapped, 0.25)
    if value == 0:
        found["float('inf')"] = 0.2
        found["-float('inf')"] = 0.2
        for text in ("[]", "''", "False", "True"):
            found[text] = 0.1
    for other_text in source.integers:
        found.setdefault(other_text, 0.22)
    found.pop(str(value), None)
    for text, weight in found.items():
        yield replaced(source, node, text, "constant", weight)


def _float(source: Source, node: cst.Float) -> Iterator[Edit]:
    value = float(node.value)
    for other in (value + 1, value - 1, value * 2, value / 2, value * 10, value / 10, -value):
        yield replaced(source, node, repr(other), "constant", 0.35)
    for text in ("0", "1", "0.0", "1.0", "0.5", "2.0", "float('inf')", "-float('inf')"):
        yield replaced(source, node, text, "constant", 0.25)
    if value == int(value):
        yield replaced(source, node, str(int(value)), "constant", 0.3)
    yield replaced(source, node, repr(1 - value), "constant", 0.3)


def _text_variants(body: str) -> Iterator[tuple[str, float]]:
    """Yield texts that are one slip away, with weights."""
    yield f"{body} ", 0.12
    yield f" {body}", 0.12
    if body.strip() != body:
        yield body.strip(" "), 0.3
    for change in (body.upper(), body.lower(), body.capitalize()):
        if change != body:
            yield change, 0.3
    for match in re.finditer(r"\d", body):  # widths and precisions
        digit = int(match[0])
        for other in (digit + 1, digit - 1, 0):
            if 0 <= other <= 9 and other != digit:
                yield f"{body[: match.start()]}{other}{body[match.end() :]}", 0.35
    directives = list(re.finditer(r"%[a-zA-Z]", body))
    for match in directives:  # date and printf directives
        for letter in "YymdHIMSpjBbAaUswxfgeXo":
            if match[0][1] != letter and len(body) < 40:
                weight = 0.3 if letter.lower() == match[0][1].lower() else 0.12
                yield f"{body[: match.start() + 1]}{letter}{body[match.end() :]}", weight
    for first, second in pairwise(directives):
        middle = body[first.end() : second.start()]
        swapped = f"{second[0]}{middle}{first[0]}"
        yield f"{body[: first.start()]}{swapped}{body[second.end() :]}", 0.35
    if 2 <= len(body) <= 12:
        for index in range(len(body)):
            yield body[:index] + body[index + 1 :], 0.12
    if re.fullmatch(r"[<>^,+]?\d*[.]?\d*[dfxs]?", body):  # a format specification
        for spec in (f"0{body}", ",", ".2f", ".1f", ",.2f", ".0f", "02d", "03d", "d", ">2", "<2"):
            yield spec, 0.3
    for old, new in (
        ("*", "+"),
        ("+", "*"),
        ("+", "?"),
        ("*", "?"),
        ("<", ">"),
        (">", "<"),
        ("^", ""),
        ("$", ""),
        ("\\d", "\\w"),
        ("\\w", "\\d"),
        ("\\s", "\\S"),
        (",", ";"),
        (".", ","),
        ("\\n", "\\r\\n"),
        ("_", "-"),
        ("-", "_"),
        ("/", "-"),
        ("-", "/"),
        ("r", "w"),
        ("w", "a"),
    ):
        if old in body and len(body) < 60:
            yield body.replace(old, new, 1), 0.2
            if body.count(old) > 1:
                head, _, tail = body.rpartition(old)
                yield f"{head}{new}{tail}", 0.15


def _string(source: Source, node: cst.SimpleString) -> Iterator[Edit]:
    yield from _empties(source, node)
    prefix, quote = node.prefix, node.quote
    if len(quote) > 1:
        return
    found: dict[str, float] = {}
    body = node.raw_value
    for text, weight in _text_variants(body):
        found.setdefault(f"{prefix}{quote}{text}{quote}", weight)
    found.setdefault(f"{quote}{quote}", 0.35)
    if len(body) <= 2:
        for text in " ,.-_/:;|0\n1+*":
            escaped = text.replace("\n", "\\n")
            found.setdefault(f"{quote}{escaped}{quote}", 0.12)
    for other in source.strings:
        found.setdefault(other, 0.25)
    found.pop(node.value, None)
    for text, weight in found.items():
        yield replaced(source, node, text, "text", weight)


def _empties(source: Source, node: cst.BaseExpression) -> Iterator[Edit]:
    text = source.code(node).replace(" ", "")
    for other, weight in EMPTIES.get(text, {}).items():
        yield replaced(source, node, other, "initial value", weight)
    if text in ("[]", "{}", "None", "''", '""', "0", "()", "set()"):
        for name in source.scopes[node].visible():
            if text == "{}":
                for value in ("0", "1", "None", "[]", "True"):
                    weight = 0.35 if value == "0" else 0.2
                    yield replaced(source, node, f"{{{name}: {value}}}", "initial value", weight)
            if text == "[]":
                yield replaced(source, node, f"[{name}]", "initial value", 0.3)
            elif text == "set()":
                yield replaced(source, node, f"{{{name}}}", "initial value", 0.4)
                yield replaced(source, node, f"set({name})", "initial value", 0.15)
    if isinstance(node, cst.List | cst.Tuple) and node.elements:
        for index, element in enumerate(node.elements):
            if len(node.elements) > 1:
                rest = [source.code(e.value) for i, e in enumerate(node.elements) if i != index]
                comma = "," if len(rest) == 1 and isinstance(node, cst.Tuple) else ""
                body = ", ".join(rest) + comma
                new = f"[{body}]" if isinstance(node, cst.List) else body
                yield replaced(source, node, new, "element dropped", 0.15)
            else:
                yield replaced(source, node, source.code(element.value), "brackets dropped", 0.25)
                if isinstance(node, cst.List):
                    yield replaced(source, node, "[]", "initial value", 0.3)


def _infinity(source: Source, node: cst.BaseExpression) -> Iterator[Edit]:
    text = source.code(node)
    if text.replace('"', "'") in ("float('inf')", "math.inf", "inf"):
        negative = isinstance(source.parents.get(node), cst.UnaryOperation)
        for other in ("0", "1", "None", "-1", *(() if negative else (f"-{text}",))):
            yield replaced(source, node, other, "initial value", 0.35)
    elif text.replace('"', "'") == "float('-inf')":
        for other in ("float('inf')", "0"):
            yield replaced(source, node, other, "initial value", 0.4)


def _plus_minus(source: Source, node: cst.BaseExpression) -> Iterator[Edit]:
    """Yield `e + 1` and `e - 1` where numbers are likely: indices, ranges, bounds, arguments."""
    parent = source.parents.get(node)
    weight = 0.0
    match parent:
        case cst.Index() | cst.Slice():
            weight = 0.6
        case cst.ComparisonTarget() | cst.Comparison():
            weight = 0.4
        case cst.Arg():
            call = source.parents.get(parent)
            text = source.code(call.func) if isinstance(call, cst.Call) else ""
            weight = 0.65 if text in ("range", "islice") else 0.3
            if text in ("len", "set", "list", "sorted", "reversed", "isinstance", "sum", "print"):
                weight = 0.03
        case cst.Return() | cst.Assign() | cst.AugAssign():
            weight = 0.3
        case cst.BinaryOperation():
            weight = 0.22
            if isinstance(source.parents.get(parent), cst.BinaryOperation):
                weight = 0.15
            sibling = parent.right if node is parent.left else parent.left
            if isinstance(parent.operator, cst.Add | cst.Subtract) and (
                isinstance(sibling, cst.Integer)
            ):
                return
        case cst.Element() | cst.Yield():
            weight = 0.2
        case cst.IfExp():
            weight = 0.15
        case _:
            weight = 0.0
    if isinstance(node, cst.Name) and node.value in ("self", "cls", "None", "True", "False"):
        return
    if isinstance(node, cst.BinaryOperation):
        weight *= 0.8
        if isinstance(node.right, cst.Integer) and isinstance(
            node.operator, cst.Add | cst.Subtract
        ):
            return
    if weight:
        text = wrap(source.code(node)) if not isinstance(node, cst.BinaryOperation) else ""
        text = text or source.code(node)
        if isinstance(node, cst.BinaryOperation) and not isinstance(
            node.operator, cst.Add | cst.Subtract | cst.Multiply | cst.FloorDivide | cst.Divide
        ):
            text = wrap(text)
        yield replaced(source, node, f"{text} + 1", "off by one", weight)
        yield replaced(source, node, f"{text} - 1", "off by one", weight)
