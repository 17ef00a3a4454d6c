"""One edit: a piece of text put in the place of another, and the diff that it makes."""

import difflib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import libcst as cst

from fixwurx_celery.engine.analyst.mutate.precedence import ATOM, tightness
from fixwurx_celery.engine.analyst.mutate.source import Source, Span

# How tightly an expression must bind to stand in each place without parentheses.
SUM = tightness("a + b")
NEGATION = tightness("not a")
NEEDED: dict[type[cst.CSTNode], int] = {
    **dict.fromkeys(
        (
            cst.Arg, cst.Assign, cst.AugAssign, cst.AnnAssign, cst.Return, cst.If, cst.While,
            cst.For, cst.Index, cst.Slice, cst.Expr, cst.Element, cst.DictElement, cst.Param,
            cst.Lambda, cst.Assert,
        ),
        1,
    ),
    **dict.fromkeys((cst.CompFor, cst.CompIf, cst.IfExp), 2),
    **dict.fromkeys((cst.Comparison, cst.ComparisonTarget), SUM),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Edit:
    """Put `text` in place of `start`..`end` of one file.

    `weight` is how likely edits of this kind are to be the repair, among all edits of one line;
    `line` is where the defect would be.
    """

    path: str
    start: int
    end: int
    text: str
    kind: str
    weight: float
    line: int

    def apply(self, source: str) -> str:
        """Return the whole text with this edit made."""
        return source[: self.start] + self.text + source[self.end :]

    def describe(self, source: str) -> str:
        """Return one line for people."""
        old = " ".join(source[self.start : self.end].split())
        new = " ".join(self.text.split())
        if not old:
            what = f"insert `{new}`"
        elif not new:
            what = f"remove `{old}`"
        else:
            what = f"`{old}` -> `{new}`"
        return f"{self.kind}: {what} at {self.path}:{self.line}"[:300]


def fits(source: Source, node: cst.CSTNode, text: str) -> str:
    """Return `text` in the parentheses it needs to stand where `node` stands."""
    if getattr(node, "lpar", ()):
        return text
    parent = source.parents.get(node)
    needed = NEEDED.get(type(parent), ATOM) if parent is not None else ATOM
    if isinstance(parent, cst.BooleanOperation):
        is_and = isinstance(parent.operator, cst.And)
        needed = NEGATION if is_and else 2 + (node is parent.right)
    elif isinstance(parent, cst.UnaryOperation) and isinstance(parent.operator, cst.Not):
        needed = NEGATION
    elif isinstance(parent, cst.Arg) and parent.star:
        needed = SUM
    return text if tightness(text) >= needed else f"({text})"


def replaced(
    source: Source, node: cst.CSTNode, text: str, kind: str, weight: float, line: int | None = None
) -> Edit:
    """Return the edit that puts the expression `text` in the place of `node`."""
    start, end = source.span(node)
    text = fits(source, node, text)
    return Edit(source.path, start, end, text, kind, weight, line or source.line(node))


def spliced(
    source: Source, span: Span, text: str, kind: str, weight: float, at: cst.CSTNode
) -> Edit:
    """Return the edit that puts `text` in place of `span`, as it stands."""
    return Edit(source.path, *span, text, kind, weight, source.line(at))


def unified_diff(path: str, before: str, after: str) -> str:
    """Return the diff of one file as `git apply` takes it."""
    lines: list[str] = []
    for line in difflib.unified_diff(_split(before), _split(after), f"a/{path}", f"b/{path}"):
        lines.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(lines)


def _split(text: str) -> list[str]:
    parts = text.split("\n")
    return [part + "\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def digest_of(edits: Iterable[Edit]) -> str:
    """Return a short digest by which a later life knows the same list of edits again."""
    state = hashlib.sha256()
    for edit in edits:
        state.update(f"{edit.path}\0{edit.start}\0{edit.end}\0{edit.text}\0".encode())
    return state.hexdigest()[:16]
