"""Loads the Lua scripts and binds their arguments by name.

Each script begins with a header (purpose, transition, args, replies). The header is the binding:
its `args` become Lua locals of the same names, in front of the library in `lua/lib`, so no script
counts ARGV. Every script also knows `limits` (a table) and `now` (ms for tests, empty otherwise);
those that assign bugs also `bell_json`: the doorbell to ring them with, where the broker is this
server, or empty.
"""

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib import resources
from typing import Any

__all__ = ["Script", "load_all"]

ALWAYS = ("limits_json", "bell_json", "now")


@dataclass(frozen=True, slots=True)
class Script:
    """One transition: its source as the server gets it, and what its header promises."""

    name: str
    purpose: str
    args: tuple[str, ...]
    statuses: frozenset[str]
    source: str
    sha: str
    assigns: bool

    def bind(self, limits_json: str, bell_json: str, now: str, given: dict[str, Any]) -> list[Any]:
        """ARGV for these arguments. Raises TypeError when they are not the header's."""
        if given.keys() != set(self.args):
            raise TypeError(f"{self.name} takes {sorted(self.args)}, not {sorted(given)}")
        bell_json = bell_json if self.assigns else ""
        return [limits_json, bell_json, now, *(given[name] for name in self.args)]


def section(header: str, title: str) -> list[str]:
    """The first words of the lines below `title` that are indented by exactly two blanks."""
    found = re.search(rf"^{title}\n((?:  .*\n)+)", header, re.MULTILINE)
    return re.findall(r"^  (\w+)", found.group(1), re.MULTILINE) if found else []


def needed(library: str, body: str) -> str:
    """Those definitions of the library that the body reaches, in their order.

    The server runs the library anew at every call, and defining all of it takes longer than most
    scripts take for their own work.
    """
    parts = re.split(r"^(?=local )", library, flags=re.MULTILINE)
    names = [re.match(r"local (?:function )?(\w+)", part) for part in parts]
    wanted, texts = [name is None for name in names], [body]
    while texts:
        words = set(re.findall(r"\w+", texts.pop()))
        for i, name in enumerate(names):
            if name is not None and not wanted[i] and name.group(1) in words:
                wanted[i] = True
                texts.append(parts[i])
    return "".join(part for part, keep in zip(parts, wanted, strict=True) if keep)


def parse(name: str, body: str, library: str) -> Script:
    """The script of this file. Raises ValueError when its header is not complete."""
    found = re.match(r"--\[\[\n(.*?)\]\]\n", body, re.DOTALL)
    purpose = (
        re.search(r"^purpose\s+(.*?)(?=^\w)", found.group(1), re.DOTALL | re.M) if found else None
    )
    if not found or not purpose:
        raise ValueError(f"lua/{name}.lua does not begin with a header")
    args = tuple(section(found.group(1), "args"))
    statuses = frozenset(section(found.group(1), "replies"))
    names = (*ALWAYS, *args)
    bound = "".join(f"local {arg} = ARGV[{i}]\n" for i, arg in enumerate(names, 1))
    source = f"{bound}local limits = cjson.decode(limits_json)\n{needed(library, body)}{body}"
    return Script(
        name=name,
        purpose=" ".join(purpose.group(1).split()),
        args=args,
        statuses=statuses,
        source=source,
        sha=sha1(source.encode(), usedforsecurity=False).hexdigest(),
        assigns="local function ring" in source,
    )


@cache
def load_all() -> dict[str, Script]:
    """Every script in lua/, by name."""
    folder = resources.files("fixwurx_celery.store") / "lua"
    parts = sorted((folder / "lib").iterdir(), key=lambda file: file.name)
    library = "".join(part.read_text("utf-8") for part in parts if part.name.endswith(".lua"))
    return {
        file.name[:-4]: parse(file.name[:-4], file.read_text("utf-8"), library)
        for file in folder.iterdir()
        if file.name.endswith(".lua")
    }
