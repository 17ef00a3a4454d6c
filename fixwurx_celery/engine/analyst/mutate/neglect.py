"""Names that a program binds and then forgets: traces of what is missing."""

import libcst as cst

from fixwurx_celery.engine.analyst.mutate.source import Scope, Source


def unused_names(source: Source) -> dict[Scope, set[str]]:
    """Return the names of each function that are bound and never read: what forgot them?"""
    read: set[tuple[Scope, str]] = set()
    for node, scope in source.scopes.items():
        if isinstance(node, cst.Name) and source.is_load(node):
            at: Scope | None = scope
            while at is not None:
                read.add((at, node.value))
                at = at.outer
    return {
        scope: {n for n in scope.names if (scope, n) not in read and n not in ("_", "self")}
        for scope in set(source.scopes.values())
        if scope.outer is not None and not scope.is_class
    }


def stale_names(source: Source) -> dict[Scope, set[str]]:
    """Return the names that are assigned once and never changed: what should do so?"""
    bound: dict[tuple[Scope, str], list[cst.CSTNode]] = {}
    changed: set[tuple[Scope, str]] = set()
    for node, scope in source.scopes.items():
        name: str | None = None
        if isinstance(node, cst.Name) and source.is_store(node):
            bound.setdefault((scope, node.value), []).append(node)
        elif isinstance(node, cst.Attribute | cst.Subscript) and isinstance(node.value, cst.Name):
            parent = source.parents.get(node)
            mutated = isinstance(node, cst.Attribute) and isinstance(parent, cst.Call)
            if mutated or (isinstance(node, cst.Subscript) and source.is_store(node)):
                name = node.value.value
        at: Scope | None = scope
        while name is not None and at is not None:
            changed.add((at, name))
            at = at.outer
    found: dict[Scope, set[str]] = {}
    for (scope, name), nodes in bound.items():
        once = len(nodes) == 1 and isinstance(source.statement(nodes[0]), cst.Assign)
        if once and (scope, name) not in changed and scope.outer is not None:
            found.setdefault(scope, set()).add(name)
    return found


def stale_attributes(source: Source) -> set[str]:
    """Return the attributes of `self` that are set in one place and never changed after."""
    stores: dict[str, int] = {}
    changed: set[str] = set()
    for node in source.scopes:
        if isinstance(node, cst.Attribute):
            parent = source.parents.get(node)
            if source.is_store(node):
                stores[node.attr.value] = stores.get(node.attr.value, 0) + 1
            elif isinstance(parent, cst.Attribute | cst.Subscript):
                outer = source.parents.get(parent)
                if isinstance(outer, cst.Call) or source.is_store(parent):
                    changed.add(node.attr.value)
    return {name for name, count in stores.items() if count == 1 and name not in changed}
