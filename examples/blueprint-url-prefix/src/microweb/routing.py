"""Rules, groups of rules that can be mounted, and the map that matches a path."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Handler = Callable[..., Any]

_VARIABLE = re.compile(r"<(?:(?P<kind>int|path|str):)?(?P<name>[a-z_]+)>")
_PATTERNS = {"int": r"\d+", "path": r".+", "str": r"[^/]+", None: r"[^/]+"}


class NotFound(LookupError):
    """No rule matches the path."""


@dataclass(frozen=True)
class Rule:
    """A path with variables, compiled once."""

    path: str
    endpoint: str
    handler: Handler

    def match(self, path: str) -> dict[str, Any] | None:
        pattern, kinds, position = "", {}, 0
        for found in _VARIABLE.finditer(self.path):
            pattern += re.escape(self.path[position : found.start()])
            pattern += f"(?P<{found['name']}>{_PATTERNS[found['kind']]})"
            kinds[found["name"]] = found["kind"]
            position = found.end()
        pattern += re.escape(self.path[position:])
        matched = re.fullmatch(pattern, path)
        if matched is None:
            return None
        return {k: int(v) if kinds[k] == "int" else v for k, v in matched.groupdict().items()}


@dataclass
class Blueprint:
    """Rules that are registered together, under a prefix chosen later."""

    name: str
    url_prefix: str = ""
    rules: list[tuple[str, str, Handler]] = field(default_factory=list)

    def route(self, path: str) -> Callable[[Handler], Handler]:
        def decorate(handler: Handler) -> Handler:
            self.rules.append((path, handler.__name__, handler))
            return handler

        return decorate


class Router:
    """All rules of an application."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def add(self, path: str, endpoint: str, handler: Handler) -> None:
        if not path.startswith("/"):
            raise ValueError(f"rule {path!r} must start with a slash")
        self._rules.append(Rule(path, endpoint, handler))

    def register(self, blueprint: Blueprint, url_prefix: str | None = None) -> None:
        prefix = blueprint.url_prefix if url_prefix is None else url_prefix
        for path, endpoint, handler in blueprint.rules:
            full = prefix.lstrip("/") + "/" + path.lstrip("/")
            self.add(full, f"{blueprint.name}.{endpoint}", handler)

    def dispatch(self, path: str) -> Any:
        for rule in self._rules:
            values = rule.match(path)
            if values is not None:
                return rule.handler(**values)
        raise NotFound(path)
