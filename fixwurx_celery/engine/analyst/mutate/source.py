"""A source file as the edit makers see it: syntax tree, positions, scopes and ingredients."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

Span = tuple[int, int]
Function = cst.FunctionDef | cst.Lambda


@dataclass(slots=True, eq=False)
class Scope:
    """A function or the module: the names it binds, and the texts that edits are built from."""

    node: cst.CSTNode
    outer: "Scope | None"
    first_line: int
    names: dict[str, None] = field(default_factory=dict)
    params: dict[str, None] = field(default_factory=dict)
    expressions: dict[str, cst.BaseExpression] = field(default_factory=dict)
    conditions: dict[str, None] = field(default_factory=dict)
    statements: dict[str, None] = field(default_factory=dict)
    constants: dict[str, None] = field(default_factory=dict)
    is_class: bool = False

    def visible(self) -> list[str]:
        """Return the names in sight, nearest first; class bodies are not seen from methods."""
        found = dict.fromkeys(self.names)
        scope = self.outer
        while scope is not None:
            if not scope.is_class and scope.outer is not None:
                found |= dict.fromkeys(scope.names)
            elif scope.outer is None:
                found |= dict.fromkeys(scope.constants)
            scope = scope.outer
        return list(found)


class Source:
    """One parsed file. Positions are character offsets into `text`."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
        self.module = wrapper.module
        self._positions = wrapper.resolve(PositionProvider)
        self._starts = [0]
        for line in self.module.code.split("\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)
        self.parents: dict[cst.CSTNode, cst.CSTNode] = {}
        self.scopes: dict[cst.CSTNode, Scope] = {}
        self.nodes: list[cst.CSTNode] = []
        self.top = Scope(self.module, None, 0)
        self.attributes: dict[str, None] = {}
        self.module_names: dict[str, None] = {}
        self.integers: dict[str, None] = {}
        self.statements: dict[str, None] = {}
        self.strings: dict[str, None] = {}
        self.calls: dict[str, None] = {}
        self.attribute_owners: dict[str, dict[str, None]] = {}
        self._functions: dict[str, cst.CSTNode] | None = None
        self.known: dict[tuple[str, Scope], dict[str, float]] = {}
        self.raised: set[int] = set()
        self.types: dict[int, dict[str, set[str]]] = {}
        self._walk(self.module, self.top)
        self._every = self.nodes
        self._collect()

    def _walk(self, node: cst.CSTNode, scope: Scope) -> None:
        stack: list[tuple[cst.CSTNode, Scope]] = [(node, scope)]
        while stack:
            node, scope = stack.pop()
            self.scopes[node] = scope
            self.nodes.append(node)
            inner = scope
            if isinstance(node, cst.FunctionDef | cst.Lambda | cst.ClassDef):
                inner = Scope(node, scope, self._first_line(node))
                inner.is_class = isinstance(node, cst.ClassDef)
                if not isinstance(node, cst.Lambda):
                    scope.names[node.name.value] = None
            for child in reversed(node.children):
                if isinstance(child, cst.BaseParenthesizableWhitespace | cst.TrailingWhitespace):
                    continue
                self.parents[child] = node
                outside = isinstance(child, cst.Decorator) or (
                    child is getattr(node, "returns", None) or child is getattr(node, "name", None)
                )
                stack.append((child, scope if outside else inner))
        self.nodes.sort(key=lambda item: self.span(item)[0])

    def _first_line(self, node: cst.CSTNode) -> int:
        """Return the line that the interpreter calls the first of a function: its decorator's."""
        decorators = getattr(node, "decorators", ())
        return self.line(decorators[0] if decorators else node)

    def _collect(self) -> None:
        for node in self.nodes:
            scope = self.scopes[node]
            if isinstance(node, cst.Param):
                scope.names[node.name.value] = None
                scope.params[node.name.value] = None
            elif isinstance(node, cst.Name) and self.is_store(node):
                scope.names[node.value] = None
                if scope.outer is None:
                    self.module_names[node.value] = None
                    scope.constants[node.value] = None
            elif isinstance(node, cst.ImportAlias):
                bound = node.asname.name if node.asname else node.name
                if isinstance(bound, cst.Name):
                    scope.names[bound.value] = None
            elif isinstance(node, cst.Attribute):
                self.attributes[node.attr.value] = None
                owners = self.attribute_owners.setdefault(node.attr.value, {})
                owners[self.code(node.value)] = None
            elif isinstance(node, cst.Integer):
                self.integers[node.value] = None
            elif isinstance(node, cst.SimpleString):
                self.strings[node.value] = None
            if isinstance(node, cst.Call):
                self.calls[self.code(node.func)] = None
            if isinstance(node, cst.BaseExpression) and self.is_load(node):
                text = self.code(node)
                if "\n" not in text and len(text) <= 60:
                    scope.expressions.setdefault(text, node)
            if isinstance(node, cst.If | cst.While | cst.IfExp | cst.CompIf):
                self._condition(scope, node.test)
            elif isinstance(node, cst.SimpleStatementLine) and len(node.body) == 1:
                text = self.code(node.body[0])
                if "\n" not in text and not isinstance(
                    node.body[0], cst.Import | cst.ImportFrom | cst.Global | cst.Nonlocal
                ):
                    scope.statements[text] = None
                    if scope.outer is not None and not scope.is_class:
                        self.statements[text] = None

    def _condition(self, scope: Scope, test: cst.BaseExpression) -> None:
        text = self.code(test)
        if "\n" in text:
            return
        scope.conditions[text] = None
        if isinstance(test, cst.BooleanOperation):
            self._condition(scope, test.left)
            self._condition(scope, test.right)
        elif isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
            self._condition(scope, test.expression)

    def keep_lines(self, lines: set[int]) -> None:
        """Leave only the nodes that begin on a line of `lines` to be edited."""
        self.nodes = [node for node in self._every if self.line(node) in lines]

    # What edits are built from.

    def functions(self) -> dict[str, cst.CSTNode]:
        """Return what the file defines that can be called by its bare name."""
        if self._functions is None:
            self._functions = {
                node.name.value: node
                for node, scope in self.scopes.items()
                if isinstance(node, cst.FunctionDef | cst.ClassDef) and not scope.is_class
            }
        return self._functions

    def own_attributes(self) -> list[str]:
        """Return the attributes of `self` that the file mentions."""
        return [name for name, owners in self.attribute_owners.items() if "self" in owners]

    def methods(self) -> list[str]:
        """Return the names of the methods of the file's classes."""
        return [
            node.name.value
            for node, scope in self.scopes.items()
            if isinstance(node, cst.FunctionDef) and scope.is_class
        ]

    def types_at(self, node: cst.CSTNode) -> dict[str, set[str]]:
        """Return the types that names were seen to have in the function of `node`."""
        scope: Scope | None = self.scopes[node]
        found: dict[str, set[str]] = {}
        while scope is not None and scope.outer is not None:
            for name, kinds in self.types.get(scope.first_line, {}).items():
                found.setdefault(name, kinds)
            scope = scope.outer
        return found

    def names_of(self, node: cst.CSTNode, kinds: set[str]) -> list[str]:
        """Return the names in sight of `node` with one of `kinds`, or of unknown type."""
        types = self.types_at(node)
        return [
            name
            for name in self.scopes[node].visible()
            if name not in ("self", "cls") and (name not in types or types[name] & kinds)
        ]

    # Where nodes are.

    def offset(self, line: int, column: int) -> int:
        """Return the offset of a position as libcst gives it."""
        return self._starts[line - 1] + column

    def span(self, node: cst.CSTNode) -> Span:
        """Return where `node` stands, without the parentheses around it."""
        place = self._positions.get(node)
        if place is None:
            return (0, 0)
        return (
            self.offset(place.start.line, place.start.column),
            self.offset(place.end.line, place.end.column),
        )

    def outer_span(self, node: cst.CSTNode) -> Span:
        """Return where `node` stands, with the parentheses around it."""
        start, end = self.span(node)
        left, right = getattr(node, "lpar", ()), getattr(node, "rpar", ())
        if left:
            start = self.span(left[0])[0]
        if right:
            end = self.span(right[-1])[1]
        return start, end

    def line(self, node: cst.CSTNode) -> int:
        """Return the line `node` begins on."""
        return self._positions[node].start.line if node in self._positions else 1

    def lines(self, node: cst.CSTNode) -> range:
        """Return the lines `node` covers."""
        place = self._positions[node]
        return range(place.start.line, place.end.line + 1)

    def code(self, node: cst.CSTNode) -> str:
        """Return the text of `node`, with its parentheses."""
        start, end = self.outer_span(node)
        return self.text[start:end]

    # What nodes are.

    def is_store(self, node: cst.CSTNode) -> bool:
        """Whether `node` is bound rather than read."""
        parent = self.parents.get(node)
        while isinstance(parent, cst.Element | cst.StarredElement | cst.Tuple | cst.List):
            node, parent = parent, self.parents.get(parent)
        match parent:
            case cst.AssignTarget() | cst.NamedExpr() | cst.For() | cst.CompFor():
                return node is parent.target
            case cst.AugAssign() | cst.AnnAssign():
                return node is parent.target
            case cst.AsName():
                return not isinstance(self.parents.get(parent), cst.ImportAlias)
            case _:
                return False

    def is_load(self, node: cst.CSTNode) -> bool:
        """Whether `node` is an expression that is read for its value."""
        parent = self.parents.get(node)
        match parent:
            case cst.Attribute() if node is parent.attr:
                return False
            case cst.Arg() if node is parent.keyword:
                return False
            case cst.Param() if node is parent.name:
                return False
            case cst.FunctionDef() | cst.ClassDef() | cst.ImportAlias() | cst.ImportFrom():
                return False
            case cst.Annotation() | cst.NameItem() | cst.Decorator() | cst.Import():
                return False
            case cst.Expr() if isinstance(node, cst.SimpleString | cst.ConcatenatedString):
                return False
            case cst.Del():
                return False
            case cst.AsName():
                return False
            case _:
                return not self.is_store(node) and not self._in_annotation(node)

    def _in_annotation(self, node: cst.CSTNode) -> bool:
        parent = self.parents.get(node)
        while isinstance(parent, cst.BaseExpression | cst.SubscriptElement | cst.Index):
            parent = self.parents.get(parent)
        return isinstance(parent, cst.Annotation)

    def statement(self, node: cst.CSTNode) -> cst.CSTNode:
        """Return the statement that `node` belongs to."""
        while not isinstance(node, cst.BaseStatement | cst.BaseSmallStatement | cst.Module):
            node = self.parents[node]
        return node

    def of(self, *kinds: type[cst.CSTNode]) -> Iterator[cst.CSTNode]:
        """Iterate over the nodes of some kinds, in the order of the text."""
        return (node for node in self.nodes if isinstance(node, kinds))

    def indent(self, offset: int) -> str:
        """Return the white space that the line of `offset` begins with."""
        start = self.text.rfind("\n", 0, offset) + 1
        line = self.text[start : offset + 1]
        return line[: len(line) - len(line.lstrip())] if line.strip() else line[:-1]
