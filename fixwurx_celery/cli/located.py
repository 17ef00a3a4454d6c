"""Text of a manifest as plain values that know their lines: YAML or JSON Lines, read safely."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import yaml

from fixwurx_celery.errors import InputError

__all__ = ["MOST_BYTES", "Located", "decoded", "read_json_lines", "read_yaml"]

MOST_BYTES: Final = 16 * 2**20
"""A manifest of 10 000 bugs is about 2 MB."""
MOST_REPEATED: Final = 100_000
"""Aliases let a kilobyte of YAML stand for a billion values; so many may be repeated by them."""
MOST_DEPTH: Final = 40

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Located:
    """A value, the line on which it begins, and the lines of what is in it."""

    value: Any
    line: int
    lines: Mapping[Path, int]

    def at(self, *path: str | int) -> int:
        """The line of what lies at the path, or of the nearest thing around it."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return self.line

    def item(self, index: int) -> "Located":
        """An item of the list that the value is."""
        return Located(
            self.value[index],
            self.at(index),
            {path[1:]: line for path, line in self.lines.items() if path[:1] == (index,)},
        )


def decoded(name: str, content: bytes) -> str:
    """The content as text. Raises InputError for what is too large, empty, or no text."""
    if len(content) > MOST_BYTES:
        raise InputError(
            [f"{name}: it is larger than {MOST_BYTES >> 20} MiB; give a list of bugs, or split it"]
        )
    if b"\0" in content:
        line = content[: content.index(b"\0")].count(b"\n") + 1
        raise InputError([f"{name}:{line}: it is binary; give YAML or JSON Lines as UTF-8 text"])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            [f"{name}:{line}: byte {error.start} is not UTF-8; save the file as UTF-8 text"]
        ) from None
    if not text.strip():
        raise InputError([f"{name}: it is empty; begin it with `bugs:` and a list of bugs"])
    return text


# -- JSON Lines ------------------------------------------------------------------------------


def read_json_lines(name: str, text: str) -> list[Located]:
    """Each line's value. Raises InputError with every line that is not JSON."""
    found: list[Located] = []
    problems: list[str] = []

    def no_constant(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [key for key, _ in pairs]
        twice = next((key for key in names if names.count(key) > 1), None)
        if twice is not None:
            raise ValueError(f"field {twice!r} is there twice")
        return dict(pairs)

    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, parse_constant=no_constant, object_pairs_hook=no_duplicates)
        except RecursionError:
            problems.append(f"{name}:{number}: it is nested too deeply")
        except json.JSONDecodeError as error:
            problems.append(
                f"{name}:{number}: not JSON at character {error.colno}: {error.msg.lower()}; "
                "write one bug a line"
            )
        except ValueError as error:
            problems.append(f"{name}:{number}: {error}")
        else:
            found.append(Located(value, number, {}))
    if problems:
        raise InputError(problems)
    return found


# -- YAML ------------------------------------------------------------------------------------

LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
BOOLEANS: Final = {"true": True, "false": False}
PLAIN: Final = "tag:yaml.org,2002:"


def read_yaml(name: str, text: str) -> Located:
    """The document. Raises InputError for what is not one document of plain YAML."""
    try:
        written = _values_written(name, text)
        root = yaml.compose(text, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        what = (error.problem or error.context or "it cannot be read").replace("\n", " ")
        raise InputError(
            [f"{name}:{line}: not YAML: {what}; see the example in `fixwurx-celery run --help`"]
        ) from None
    except yaml.YAMLError as error:
        raise InputError([f"{name}: not YAML: {' '.join(str(error).split())}"]) from None
    if root is None:
        raise InputError([f"{name}: it is empty; begin it with `bugs:` and a list of bugs"])
    plain = _Plain(name, most=written + MOST_REPEATED)
    value = plain.value(root, ())
    if plain.problems:
        raise InputError(plain.problems)
    return Located(value, root.start_mark.line + 1, plain.lines)


def _values_written(name: str, text: str) -> int:
    """How many values there are before aliases are expanded. Raises InputError for a nesting that
    would overflow the stack of what reads it next."""
    depth = count = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MOST_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise InputError([f"{name}:{line}: it is nested more than {MOST_DEPTH} deep"])
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        count += isinstance(event, yaml.NodeEvent)
    return count


class _Plain:
    """Makes plain values of YAML's nodes, and keeps their lines."""

    def __init__(self, name: str, most: int) -> None:
        self.name = name
        self.lines: dict[Path, int] = {}
        self.problems: list[str] = []
        self._left = most
        self._open: set[int] = set()
        constructor = yaml.constructor.SafeConstructor()
        self._scalars: Mapping[str, Callable[[yaml.ScalarNode], Any]] = {
            "str": lambda node: node.value,
            "null": lambda _: None,
            # A folder called `no` is no boolean.
            "bool": lambda node: BOOLEANS.get(node.value.lower(), node.value),
            "int": lambda node: YamlInt(constructor.construct_yaml_int(node), node.value),
            "float": constructor.construct_yaml_float,
        }

    def value(self, node: yaml.Node, path: Path) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self._left -= 1
        if self._left < 0 or len(path) > MOST_DEPTH or id(node) in self._open:
            raise InputError(
                [
                    f"{self.name}:{line}: its aliases repeat more than {MOST_REPEATED} values, or "
                    "themselves; write it out"
                ]
            )
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.ScalarNode):
                return self._scalar(node, line)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(child, (*path, i)) for i, child in enumerate(node.value)]
            return self._mapping(node, path) if isinstance(node, yaml.MappingNode) else None
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, child in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == PLAIN + "merge":
                several = child.value if isinstance(child, yaml.SequenceNode) else [child]
                for each in several:
                    if not isinstance(each, yaml.MappingNode):
                        self.problems.append(f"{self.name}:{line}: << must name a mapping")
                        continue
                    for key, value in self.value(each, path).items():
                        merged.setdefault(key, value)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(f"{self.name}:{line}: a field's name must be a text")
                continue
            key = key_node.value
            if key in found:
                self.problems.append(f"{self.name}:{line}: field {key!r} is there twice")
            self.lines[(*path, key)] = line
            found[key] = self.value(child, (*path, key))
        return {**merged, **found}

    def _scalar(self, node: yaml.ScalarNode, line: int) -> Any:
        make = self._scalars.get(node.tag.removeprefix(PLAIN))
        if node.tag == PLAIN + "timestamp":  # nobody here means a date
            return node.value
        if make is None:
            self.problems.append(
                f"{self.name}:{line}: {node.tag.replace(PLAIN, '!!')} is not plain YAML; write "
                "texts, numbers, lists and mappings only"
            )
            return None
        try:
            return make(node)
        except ValueError:
            self.problems.append(f"{self.name}:{line}: {node.value[:40]!r} is not a number")
            return None


class YamlInt(int):
    """A number that remembers how it was written: an id may look like one."""

    written: str

    def __new__(cls, value: int, written: str) -> "YamlInt":
        made = super().__new__(cls, value)
        made.written = written
        return made
