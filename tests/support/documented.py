"""What the documents show, to be run as it stands there."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tests.support.surroundings import ROOT

__all__ = ["Block", "blocks", "documented", "pages", "prose", "shown"]

FENCE = re.compile(r" *```(\w*)$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page: below which heading, in which language, from which line on."""

    page: str
    heading: str
    kind: str
    line: int
    text: str


def pages() -> list[str]:
    """All that are read by people, as `blocks` takes them: below docs/, or of the top folder."""
    docs = ROOT / "docs"
    found = [*docs.glob("*.md"), *docs.glob("decisions/*.md")]
    return ["README.md", "CONTRIBUTING.md", "../examples/README.md", "../bench/RESULTS.md",
            *sorted(str(path.relative_to(docs)) for path in found)]  # fmt: skip


def read(page: str) -> list[str]:
    top = ROOT / page
    return (top if top.exists() else ROOT / "docs" / page).read_text("utf-8").splitlines()


@cache
def blocks(page: str) -> tuple[Block, ...]:
    """The blocks of a page, in order."""
    found: list[Block] = []
    heading, opened, kind, lines = "", 0, "", list[str]()
    for number, line in enumerate(read(page), 1):
        fence = FENCE.match(line)
        if not opened and fence:
            opened, kind, lines = number, fence[1], []
        elif opened and fence and not fence[1]:
            indent = " " * (len(line) - len(line.lstrip()))
            text = "".join(one.removeprefix(indent) + "\n" for one in lines)
            found.append(Block(page, heading, kind, opened, text))
            opened = 0
        elif opened:
            lines.append(line)
        elif title := re.match(r"#+ (.+)$", line):
            heading = title[1]
    assert not opened, f"{page}: the block of line {opened} does not end"
    return tuple(found)


def prose(page: str) -> Iterator[tuple[int, str]]:
    """The lines of a page that are in no block, with their numbers."""
    inside = False
    for number, line in enumerate(read(page), 1):
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            yield number, line


def shown(page: str, heading: str, kind: str = "sh") -> list[str]:
    """The blocks of that kind below that heading, before the next one of any depth."""
    found = [one.text for one in blocks(page) if (one.heading, one.kind) == (heading, kind)]
    assert found, f"{page} shows no {kind} below {heading!r}"
    return found


def documented(page: str, heading: str) -> list[str]:
    """What is to be typed under that heading of the page, a line each, without comments."""
    lines = "".join(shown(page, heading)).replace("\\\n", " ").splitlines()
    return [found for line in lines if (found := re.sub(r"(^|\s+)#.*$", "", line).strip())]
