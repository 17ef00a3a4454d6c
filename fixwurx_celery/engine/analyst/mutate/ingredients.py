"""Texts that edits are built from: conditions and statements over the names in sight."""

from collections.abc import Iterator
from itertools import permutations

import libcst as cst

from fixwurx_celery.engine.analyst.mutate.source import Source

NUMBERS = {"int", "float"}
CONTAINERS = {"list", "set", "dict", "deque", "defaultdict", "Counter", "OrderedDict", "tuple"}
SIZED = CONTAINERS | {"str", "bytes"}
MAPPINGS = {"dict", "defaultdict", "Counter", "OrderedDict"}
SCALARS = {"int", "float", "bool", "NoneType", "function", "type", "module"}


def _merged(pairs: Iterator[tuple[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text, weight in pairs:
        found[text] = max(weight, found.get(text, 0.0))
    return found


def negated(text: str) -> str:
    """Return the opposite of a condition, in the way people write it."""
    for word, other in ((" not in ", " in "), (" is not ", " is "), (" != ", " == ")):
        if word in text and " and " not in text and " or " not in text:
            return text.replace(word, other)
    for word, other in ((" in ", " not in "), (" is ", " is not "), (" == ", " != ")):
        plain = not any(part in text for part in (" and ", " or ", " for "))
        if plain and text.count(word) == 1 and not text.startswith("not "):
            return text.replace(word, other)
    return text[4:] if text.startswith("not ") and " " not in text[4:] else f"not ({text})"


def conditions(source: Source, node: cst.CSTNode) -> dict[str, float]:
    """Return conditions over what is in sight of `node`, with how likely each is, up to 1."""
    key = ("conditions", source.scopes[node])
    if key not in source.known:
        source.known[key] = _merged(_conditions(source, node))
    return source.known[key]


def _conditions(source: Source, node: cst.CSTNode) -> Iterator[tuple[str, float]]:
    scope = source.scopes[node]
    types = source.types_at(node)
    for text in scope.conditions:
        yield text, 0.8
        yield negated(text), 0.7
    names = [name for name in scope.visible() if name not in source.functions()]
    for name in names:
        kinds = types.get(name)
        if kinds is None:
            yield f"{name}", 0.4
            yield f"not {name}", 0.4
            yield f"{name} is None", 0.4
            yield f"{name} is not None", 0.4
            for method in ("isalnum", "isalpha", "isdigit", "isspace", "strip"):
                yield f"{name}.{method}()", 0.12
            continue
        if kinds == {"function"} or name == "self":
            continue
        known = 1.0 if "NoneType" in kinds else 0.25
        if known == 1.0 or not kinds & (NUMBERS | SIZED):
            yield f"{name} is None", known
            yield f"{name} is not None", known
        yield f"not {name}", 0.8
        yield f"{name}", 0.7
        if kinds & NUMBERS:
            for text in ("== 0", "< 0", "> 0", "<= 0", "== 1", ">= 0", "> 1", "<= 1", "!= 0"):
                yield f"{name} {text}", 0.6
            yield f"{name} % 2 == 0", 0.2
            yield f"{name} % 2 == 1", 0.2
        for kind in sorted(kinds & {"str", "int", "float", "list", "dict", "tuple", "set"}):
            if len(kinds) > 1:
                yield f"isinstance({name}, {kind})", 0.45
                yield f"not isinstance({name}, {kind})", 0.45
        if kinds & SIZED:
            for text in ("<= 1", "== 1", "> 1", "> 0", "== 0", "< 2"):
                yield f"len({name}) {text}", 0.4
    for constant in source.top.constants:
        for name in names:
            if name != constant:
                yield f"{name} in {constant}", 0.3
                yield f"{name} not in {constant}", 0.3
                yield f"{name} is {constant}", 0.15
                yield f"{name} == {constant}", 0.2
    for one, two in permutations(names, 2):
        first, second = types.get(one), types.get(two)
        if first is None or second is None:
            continue
        if first & NUMBERS and second & NUMBERS:
            for operator in ("<", "<=", "==", "!="):
                if operator in ("<", "<=") or one < two:
                    yield f"{one} {operator} {two}", 0.4
            yield f"{one} % {two} == 0", 0.2
        if second & CONTAINERS and one != two and not first & {"list", "set", "dict", "function"}:
            yield f"{one} in {two}", 0.7
            yield f"{one} not in {two}", 0.7
        if first & NUMBERS and second & SIZED:
            for operator in ("<", "==", ">=", ">", "<="):
                yield f"{one} {operator} len({two})", 0.45
        if first & {"str"} and second & {"str"}:
            yield f"{one} == {two}", 0.35
            yield f"{one} != {two}", 0.35
            yield f"{one} in {two}", 0.2
        elif one < two and first == second and not first & (NUMBERS | {"function"}):
            yield f"{one} == {two}", 0.2
            yield f"{one} is {two}", 0.2
            yield f"{one} != {two}", 0.2
    for text, expression in scope.expressions.items():
        if isinstance(expression, cst.Attribute) and not text.startswith("math."):
            yield f"{text} is None", 0.4
            yield f"{text} is not None", 0.4
            yield f"not {text}", 0.4
            yield text, 0.4
            if text.startswith("self."):
                for name in names:
                    if name != "self":
                        yield f"{name} in {text}", 0.35
                        yield f"{name} not in {text}", 0.3
                        yield f"len({name}) < {text}", 0.05
                yield f"len({text}) == 0", 0.2
        if isinstance(expression, cst.Subscript) and len(expression.slice) == 1:
            index, owner = source.code(expression.slice[0].slice), source.code(expression.value)
            if not index.lstrip("-").isdigit() and ":" not in index:
                yield f"{index} < len({owner})", 0.5
                yield f"{index} >= 0", 0.35
                yield f"{index} in {owner}", 0.3
                yield f"{index} not in {owner}", 0.3
        if isinstance(expression, cst.Subscript | cst.Call) and len(text) < 30:
            yield text, 0.25
            yield f"not {text}", 0.25
            if isinstance(expression, cst.Subscript):
                for bound in ("> 0", "== 0", "< 0", "is None", "is not None"):
                    yield f"{text} {bound}", 0.15


def results(source: Source, node: cst.CSTNode) -> dict[str, float]:
    """Return what a guard in the function of `node` may return, likeliest first."""
    scope = source.scopes[node]
    found: dict[str, float] = {}
    for other, inner in source.scopes.items():
        if inner is scope and isinstance(other, cst.Return) and other.value is not None:
            text = source.code(other.value)
            if "\n" not in text:
                found.setdefault(text, 0.9)
    for text in ("None", "0", "1", "[]", "False", "True", "''", "-1"):
        found.setdefault(text, 0.5)
    for name in scope.visible():
        if name != "self" and name not in source.functions():
            found.setdefault(name, 0.45)
            found.setdefault(f"[{name}]", 0.2)
    for text in ("[[]]", "{}", "()", "0.0", "set()"):
        found.setdefault(text, 0.15)
    return found


def statements(source: Source, node: cst.CSTNode) -> dict[str, float]:
    """Return simple statements that may be missing near `node`, with weights up to 1."""
    key = ("statements", source.scopes[node])
    if key not in source.known:
        source.known[key] = _merged(_statements(source, node))
    return source.known[key]


def _statements(source: Source, node: cst.CSTNode) -> Iterator[tuple[str, float]]:
    scope = source.scopes[node]
    types = source.types_at(node)
    for text in scope.statements:
        if not text.startswith(("return", "raise", "'", '"', "pass", "break", "continue")):
            yield text, 0.8
        elif not text.startswith(("'", '"', "pass")):
            yield text, 0.5
    names = [name for name in scope.visible() if name not in source.functions()]
    values = [name for name in names if name not in ("self", "cls")]
    attributes = [text for text in scope.expressions if text.startswith("self.")]
    attributes += [f"self.{name}" for name in source.own_attributes()]
    for name in values:
        kinds = types.get(name)
        if kinds is None:
            continue
        if kinds & {"list", "deque"}:
            yield f"{name}.pop()", 0.4
            yield f"{name}.sort()", 0.25
            yield f"{name}.reverse()", 0.2
            for other in values:
                if other != name:
                    scalar = bool(types.get(other, set()) - {"list", "deque", "set", "dict"})
                    yield f"{name}.append({other})", 0.8 if scalar else 0.5
                    yield f"{name}.extend({other})", 0.1 if scalar else 0.35
                    yield f"{name} = {name} + {other}", 0.05 if scalar else 0.15
        if kinds & {"set"}:
            for other in values:
                if other != name:
                    yield f"{name}.add({other})", 1.0
                    yield f"{name}.discard({other})", 0.2
                    yield f"{name}.remove({other})", 0.15
        if kinds & MAPPINGS:
            for other in values:
                for value in values:
                    if name not in (other, value):
                        yield f"{name}[{other}] = {value}", 0.5
                for constant in ("0", "1", "True", "[]", "None"):
                    yield f"{name}[{other}] = {constant}", 0.25
                yield f"{name}[{other}] += 1", 0.3
                yield f"{name}.pop({other})", 0.15
                yield f"del {name}[{other}]", 0.2
        if kinds & NUMBERS and name not in source.module_names:
            yield f"{name} += 1", 0.8
            yield f"{name} -= 1", 0.6
            for constant in ("0", "1", "-1"):
                yield f"{name} = {constant}", 0.35
        if kinds & {"str"}:
            yield f"{name} = ''", 0.35
            yield f"{name} = {name}.strip()", 0.4
            yield f"{name} = {name}.lower()", 0.3
        if kinds & {"list"}:
            yield f"{name} = []", 0.4
            yield f"{name} = sorted({name})", 0.35
            yield f"{name} = list({name})", 0.3
        if kinds & {"set"}:
            yield f"{name} = set()", 0.3
        if kinds & {"bool"}:
            yield f"{name} = True", 0.6
            yield f"{name} = False", 0.6
        for other in values:
            others = types.get(other)
            if other == name or others is None or name in source.module_names:
                continue
            if others & kinds or "NoneType" in kinds:
                yield f"{name} = {other}", 0.6
            if (kinds & NUMBERS and others & NUMBERS) or (kinds & {"str"} and others & {"str"}):
                yield f"{name} += {other}", 0.5
                if kinds & NUMBERS:
                    yield f"{name} -= {other}", 0.35
                    yield f"{name} = max({name}, {other})", 0.3
                    yield f"{name} = min({name}, {other})", 0.3
                    yield f"{name} *= {other}", 0.15
                    yield f"{name} //= {other}", 0.15
                    yield f"{name} %= {other}", 0.15
        for attribute in source.attributes:
            if name in source.attribute_owners.get(attribute, {}):
                yield f"{name} = {name}.{attribute}", 0.5
                for value in [*values, "None"]:
                    if value != name:
                        yield f"{name}.{attribute} = {value}", 0.35
    for text in source.statements:
        if not text.startswith(("return", "raise", "'", '"', "pass", "break", "continue")):
            yield text, 0.55 if "self" in text else 0.2
    for name in values:
        for text, expression in scope.expressions.items():
            made = isinstance(expression, cst.Subscript | cst.Attribute | cst.BinaryOperation)
            if made and "(" not in text and text != name:
                yield f"{name} = {text}", 0.45 if name in text else 0.2
    for name in scope.params:
        if types.get(name, {"NoneType"}) & {"list", "dict", "set", "str"} and name != "self":
            yield f"{name} = list({name})", 0.5
            yield f"{name} = sorted({name})", 0.4
            yield f"{name} = {name}.copy()", 0.3
    for target in dict.fromkeys(attributes):
        if target.endswith((")", "]")):
            continue
        yield f"{target} += 1", 0.7
        yield f"{target} -= 1", 0.6
        for value in [*values, "None", "0", "[]", "True", "False"]:
            yield f"{target} = {value}", 0.35
        for value in values:
            yield f"{target} += {value}", 0.6
            yield f"{target} -= {value}", 0.6
        for value in values:
            yield f"{target}.append({value})", 0.2
            yield f"{target}.add({value})", 0.2
            yield f"{target}[{value}] = {value}", 0.05
            yield f"del {target}[{value}]", 0.2
            yield f"{target}.move_to_end({value})", 0.3
            for other in values:
                if other != value:
                    yield f"{target}[{value}] = {other}", 0.15
    for text, expression in scope.expressions.items():
        if isinstance(expression, cst.Subscript) and len(text) < 40:
            for name in values:
                if name not in text and types.get(name, set()) - {"function"}:
                    yield f"{text} = {name}", 0.25
            yield f"{text} += 1", 0.2
            yield f"{text} = True", 0.15
            yield f"{text} = 1", 0.15
            yield f"{text} = 0", 0.15
