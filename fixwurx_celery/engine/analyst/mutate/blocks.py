"""Where statements and blocks begin and end, in whole lines of text."""

import libcst as cst

from fixwurx_celery.engine.analyst.mutate.source import Source, Span

Statement = cst.BaseStatement | cst.SimpleStatementLine


def lines_of(source: Source, node: cst.CSTNode) -> Span:
    """Return the whole lines of a statement, with the line break behind them."""
    start, end = source.span(node)
    start = source.text.rfind("\n", 0, start) + 1
    end = source.text.find("\n", end)
    return start, (len(source.text) if end < 0 else end + 1)


def indented(text: str, old: str, new: str) -> str:
    """Return `text` with the white space `old` before each line made `new`."""
    lines = text.split("\n")
    return "\n".join(new + line[len(old) :] if line.startswith(old) else line for line in lines)


def function_of(source: Source, node: cst.CSTNode) -> cst.FunctionDef | None:
    """Return the function that `node` belongs to."""
    at: cst.CSTNode | None = node
    while at is not None and not isinstance(at, cst.FunctionDef):
        at = source.parents.get(at)
    return at


def loop_of(source: Source, node: cst.CSTNode) -> cst.CSTNode | None:
    """Return the loop around `node`, within its function."""
    at: cst.CSTNode | None = node
    while at is not None and not isinstance(at, cst.FunctionDef | cst.For | cst.While):
        at = source.parents.get(at)
    return None if isinstance(at, cst.FunctionDef) else at


def last_block(node: cst.CSTNode) -> cst.IndentedBlock | None:
    """Return the block whose end is the end of `node`."""
    if not isinstance(node, cst.If | cst.For | cst.While | cst.With):
        return None
    last: cst.CSTNode = node
    while getattr(last, "orelse", None) is not None:
        last = last.orelse  # type: ignore[attr-defined]
    inner = getattr(last, "body", None)
    return inner if isinstance(inner, cst.IndentedBlock) else None
