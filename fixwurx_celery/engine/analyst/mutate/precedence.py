"""How tightly a piece of code binds, and so whether it needs parentheses."""

import ast
from functools import lru_cache

ATOM = 9


@lru_cache(maxsize=20_000)
def tightness(text: str) -> int:
    """Return how tightly the outermost operator of `text` binds; `ATOM` where there is none."""
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        return 0
    if text.startswith("(") and _closes_at_end(text):
        return ATOM
    match node:
        case ast.Tuple() | ast.Yield() | ast.YieldFrom() | ast.Starred():
            return 0
        case ast.Lambda() | ast.IfExp() | ast.NamedExpr():
            return 1
        case ast.BoolOp():
            return 2 if isinstance(node.op, ast.Or) else 3
        case ast.UnaryOp() if isinstance(node.op, ast.Not):
            return 4
        case ast.Compare():
            return 5
        case ast.BinOp():
            return 6
        case ast.UnaryOp() | ast.Await():
            return 7
        case _:
            return ATOM


def is_atomic(text: str) -> bool:
    """Whether `text` can stand next to any operator without parentheses around it."""
    return tightness(text) == ATOM


def _closes_at_end(text: str) -> bool:
    depth = 0
    for index, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0:
            return index == len(text) - 1
    return False


def wrap(text: str) -> str:
    """Return `text` so that any operator may stand next to it."""
    return text if is_atomic(text) else f"({text})"
