"""Manifests: lists of bugs, checked whole before anything starts.

`load_manifest` answers the bugs or every problem at once, each as `file:line: what: rule; way out`.
The fields that the cluster itself reads are the same for every engine; the others are the payload,
which is checked here for the shipped engine and passed through for one of the user's.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fixwurx_celery.cli.located import MOST_BYTES, Located, decoded, read_json_lines, read_yaml
from fixwurx_celery.cli.names import did_you_mean
from fixwurx_celery.cli.shipped import check_payload
from fixwurx_celery.domain.bugs import AGENTS_PER_BUG, ID, LABEL, MAX_AGENTS, MAX_PRIORITY, Bug
from fixwurx_celery.domain.clocks import MAX_SECONDS, BugClock
from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.engine.payload import KEYS
from fixwurx_celery.errors import InputError
from fixwurx_celery.settings import SHIPPED_ENGINE

__all__ = ["SHIPPED_ENGINE", "Manifest", "load_manifest"]

COMMON: Final = ("id", "agents", "requires", "priority", "timeout", "limits", "expected_seconds")
CLOCKS: Final = tuple(map(str, BugClock))
MOST_PROBLEMS: Final = 50
BUG_OF_JSON: Final = re.compile(r'\s*\{(?!\s*"bugs"\s*:).*"id"')
"""How JSON Lines begin: with a bug. A manifest of YAML may be written as one object of JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest's bugs. A source in a folder is `{path: <absolute>}`, not packed yet."""

    name: str
    bugs: Sequence[Bug]
    lines: Mapping[str, int]

    def where(self, bug: Bug) -> str:
        """`file:line: bug ID`."""
        return f"{self.name}:{self.lines[bug.id]}: bug {bug.id}"


def load_manifest(
    file: Path | str,
    *,
    engine: str = SHIPPED_ENGINE,
    nodes: Callable[[int], Sequence[NodeSpec]] | None = None,
    default_timeout_s: float = 300.0,
) -> Manifest:
    """The manifest in the file, `-` for standard input.

    `nodes` answers all nodes that the bugs can ever run on, given the agents of the largest, if
    that is known. Raises InputError with every problem.
    """
    name, content, folder = _content(str(file))
    text = decoded(name, content)
    entries = list(_entries(name, text))
    bugs: list[Bug] = []
    lines: dict[str, int] = {}
    readers: list[_Reader] = []
    for entry in entries:
        reader = _Reader(name, entry, folder, is_shipped=engine == SHIPPED_ENGINE)
        bug = reader.bug(default_timeout_s)
        if reader.id is not None:
            if reader.id in lines:
                reader.problem(
                    ("id",),
                    f"id {reader.id!r} is taken by the bug at line {lines[reader.id]}; ids are "
                    "unique: give this one another",
                )
            lines.setdefault(reader.id, entry.line)
        readers.append(reader)
        if bug is not None:
            bugs.append(bug)
    if nodes is not None:
        planned = nodes(max((reader.agents for reader in readers), default=AGENTS_PER_BUG))
        for reader in readers:
            reader.check_fit(planned)
    problems = [problem for reader in readers for problem in reader.problems]
    if problems:
        texts = [text for _, text in sorted(problems, key=lambda problem: problem[0])]
        more = len(texts) - MOST_PROBLEMS
        raise InputError(texts[:MOST_PROBLEMS] + ([f"and {more} more"] if more > 0 else []))
    return Manifest(name=name, bugs=bugs, lines=lines)


def _content(file: str) -> tuple[str, bytes, Path]:
    if file == "-":
        return "<stdin>", sys.stdin.buffer.read(MOST_BYTES + 1), Path.cwd()
    path = Path(file)
    try:
        if path.is_dir():
            raise InputError([f"{file}: it is a folder; name the manifest in it"])
        with path.open("rb") as stream:
            return file, stream.read(MOST_BYTES + 1), path.absolute().parent
    except FileNotFoundError:
        nearby = (
            [entry.name for entry in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        )
        hint = did_you_mean(path.name, nearby)
        raise InputError([f"{file}: no such file{hint or '; name a manifest'}"]) from None
    except OSError as error:
        raise InputError([f"{file}: it cannot be read: {error.strerror}"]) from error


def _entries(name: str, text: str) -> Iterator[Located]:
    """Each bug as it is written."""
    if name.endswith((".jsonl", ".ndjson")) or BUG_OF_JSON.match(text):
        yield from read_json_lines(name, text)
        return
    document = read_yaml(name, text)
    shape = "begin the file with `bugs:` and below it a list: `- id: ...`"
    if not isinstance(document.value, dict):
        raise InputError([f"{name}:{document.line}: it is not a manifest; {shape}"])
    problems = [
        f"{name}:{document.at(key)}: unknown field {key!r}{did_you_mean(key, ['bugs'])}; the only "
        "field at the top is `bugs`"
        for key in document.value
        # What begins with x- holds anchors for the bugs below.
        if key != "bugs" and not key.startswith("x-")
    ]
    listed = document.value.get("bugs")
    if "bugs" not in document.value and not problems:
        problems.append(f"{name}:{document.line}: there is no field `bugs`; {shape}")
    elif "bugs" in document.value and not isinstance(listed, list):
        problems.append(f"{name}:{document.at('bugs')}: `bugs` is not a list; {shape}")
    elif isinstance(listed, list) and not listed:
        problems.append(f"{name}:{document.at('bugs')}: `bugs` is an empty list; {shape}")
    if problems or not isinstance(listed, list):
        raise InputError(problems)
    by_item: list[dict[tuple[str | int, ...], int]] = [{} for _ in listed]
    for path, line in document.lines.items():
        if len(path) > 1 and path[0] == "bugs" and isinstance(path[1], int):
            by_item[path[1]][path[2:]] = line
    for value, lines in zip(listed, by_item, strict=True):
        yield Located(value, lines.pop(()), lines)


class _Reader:
    """One bug of the manifest, and what is wrong with it."""

    def __init__(self, name: str, entry: Located, folder: Path, *, is_shipped: bool) -> None:
        self._name, self._entry, self._folder, self._is_shipped = name, entry, folder, is_shipped
        self.id: str | None = None
        self.agents = AGENTS_PER_BUG
        self.requires: frozenset[str] = frozenset()
        self.problems: list[tuple[int, str]] = []

    def problem(self, path: tuple[str | int, ...], text: str) -> None:
        """Notes what is wrong there."""
        line = self._entry.at(*path)
        whose = f"bug {self.id}: " if self.id is not None else ""
        self.problems.append((line, f"{self._name}:{line}: {whose}{text}"))

    def bug(self, default_timeout_s: float) -> Bug | None:
        """The bug, or None when there is anything wrong with it."""
        fields = self._entry.value
        if not isinstance(fields, dict):
            self.problem((), f"{_shown(fields)} is not a bug; write `- id: ...` and its fields")
            return None
        self.id = self._id(fields)
        known = (*COMMON, *sorted(KEYS)) if self._is_shipped else COMMON
        if self._is_shipped:
            for key in fields:
                if key not in known:
                    meant = did_you_mean(key, known) or f"; fields are {', '.join(known)}"
                    self.problem((key,), f"unknown field {key!r}{meant}")
        agents = self._number(fields, "agents", AGENTS_PER_BUG, 1, MAX_AGENTS, whole=True)
        priority = self._number(
            fields, "priority", 0, -MAX_PRIORITY, MAX_PRIORITY, whole=True
        )  # fmt: skip
        timeout_s = self._number(fields, "timeout", default_timeout_s, 0, MAX_SECONDS)
        expected_s = self._number(fields, "expected_seconds", None, 0, MAX_SECONDS)
        limits = self._limits(fields)
        self.agents, self.requires = int(agents or AGENTS_PER_BUG), self._labels(fields)
        payload = {
            key: plain(value) for key, value in fields.items() if key in KEYS or key not in known
        }
        if self._is_shipped:
            payload = check_payload(payload, self._folder, self.problem)
        if self.problems or self.id is None:
            return None
        return Bug(
            id=self.id,
            agents=self.agents,
            requires=self.requires,
            priority=int(priority or 0),
            timeout_s=float(timeout_s or 0),
            limits=limits,
            expected_s=None if expected_s is None else float(expected_s),
            payload=payload,
        )

    def _id(self, fields: Mapping[str, Any]) -> str | None:
        value = fields.get("id")
        if "id" not in fields:
            self.problem((), "a bug without an id; add `id: ...`, unique in the file")
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            value = getattr(value, "written", str(value))
        if not isinstance(value, str):
            self.problem(("id",), f"id {_shown(value)} is not a text; put it in quotes")
            return None
        if not ID.fullmatch(value):
            self.problem(
                ("id",),
                f"id {_shown(value)} must begin with a letter or digit, and have only letters, "
                "digits, '.', '_' and '-', at most 128; rename it",
            )
            return None
        return value

    def _number(
        self,
        fields: Mapping[str, Any],
        key: str,
        default: float | None,
        low: float,
        high: float,
        *,
        whole: bool = False,
        inside: str = "",
    ) -> float | None:
        value = fields.get(key)
        if value is None:
            return default
        kind = "a whole number" if whole else "a number of seconds"
        bounds = f"from {low:g} to {high:g}" if whole else f"above {low:g} and at most {high:g}"
        right_type = isinstance(value, int if whole else (int, float)) and type(value) is not bool
        if not right_type or not low <= value <= high or (not whole and value <= low):
            example = f"{key}: {default if default is not None else 40:g}"
            if inside:
                example = f"{inside}: {{{example}}}"
            path = (inside, key) if inside else (key,)
            shown = f"{'.'.join(path)} {_shown(value)}"
            self.problem(path, f"{shown} must be {kind}, {bounds}; e.g. {example}")
            return default
        return float(value)

    def _limits(self, fields: Mapping[str, Any]) -> dict[str, float]:
        value = fields.get("limits")
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.problem(
                ("limits",),
                f"limits {_shown(value)} must have seconds by clock; e.g. limits: {{setup: 900}}",
            )
            return {}
        for name in value:
            if name not in CLOCKS:
                meant = did_you_mean(name, CLOCKS) or f"; clocks are {', '.join(CLOCKS)}"
                self.problem(("limits", name), f"unknown field limits.{name}{meant}")
        seconds = {
            name: self._number(value, name, None, 0, MAX_SECONDS, inside="limits")
            for name in CLOCKS
        }
        return {name: limit for name, limit in seconds.items() if limit is not None}

    def _labels(self, fields: Mapping[str, Any]) -> frozenset[str]:
        value = fields.get("requires")
        if value is None:
            return frozenset()
        if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
            self.problem(
                ("requires",),
                f"requires {_shown(value)} must be a list of capabilities; e.g. requires: [python]",
            )
            return frozenset()
        for number, label in enumerate(value):
            if not LABEL.fullmatch(label):
                self.problem(
                    ("requires", number),
                    f"requires {_shown(label)} must be letters, digits, '.', '_' or '-', at most "
                    "63 long",
                )
        return frozenset(label for label in value if LABEL.fullmatch(label))

    def check_fit(self, nodes: Sequence[NodeSpec]) -> None:
        """Notes when no node will ever be able to run the bug."""
        if any(node.can_run(self.agents, self.requires) for node in nodes):
            return
        largest = max(node.agents for node in nodes)
        offered = frozenset().union(*(node.capabilities for node in nodes))
        missing = sorted(self.requires - offered)
        wanted = NodeSpec(agents=max(self.agents, largest), capabilities=self.requires | offered)
        if missing:
            self.problem(
                ("requires",),
                f"requires {', '.join(missing)}, which no node offers; they offer "
                f"{', '.join(sorted(offered))}; add a node with --node {wanted}",
            )
        if self.agents > largest:
            self.problem(
                ("agents",),
                f"agents {self.agents} is more than any node has; the largest has {largest}; lower "
                f"it, or add a node with --node {wanted}",
            )
        elif not missing:
            self.problem(
                ("requires",),
                f"no single node has {self.agents} agents and {', '.join(sorted(self.requires))}; "
                f"add one with --node {wanted}",
            )


def plain(value: Any) -> Any:
    """The value as JSON has it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _shown(value: Any) -> str:
    text = repr(plain(value))
    return text if len(text) <= 60 else text[:57] + "..."
