"""Nothing is shown in the documents that no test runs, as it stands there."""

import ast
import re
from functools import cache

import pytest

from tests.documents.test_commands import COMMAND, ELSEWHERE, without_comment
from tests.support.documented import Block, blocks, pages
from tests.support.surroundings import ROOT

KINDS = {"shown": "sh", "documented": "sh", "edges": "mermaid"}
"""What tests call with a page and a heading to be given its blocks, of this kind unless they name
another."""
GENERATED = {"cli.md", "configuration.md", "redis-keys.md", "../bench/RESULTS.md"}
"""Written by the code itself; what they show is compared with it."""
SET = re.compile(r"export [A-Z_]+=|\. |pip install ")
"""Settings of the commands after them; what an installation does is tested of a wheel."""


@cache
def asked_for() -> frozenset[tuple[str, str, str]]:
    """Page, heading and kind of all blocks that some test is given."""
    found = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
            words = [str(one.value) for one in node.args if isinstance(one, ast.Constant)]
            match words:
                case [page, heading] if name in KINDS:
                    found.add((page, heading, KINDS[name]))
                case [page, heading, kind] if name in KINDS:
                    found.add((page, heading, kind))
    return frozenset(found)


def is_typed(block: Block) -> bool:
    """Whether each of its lines is a command of those that test_commands types."""
    if block.page in ELSEWHERE or block.kind not in ("sh", "console", ""):
        return False
    lines = block.text.replace("\\\n", " ").splitlines()
    typed = [without_comment(line.strip().removeprefix("$ ")) for line in lines]
    return all(COMMAND.match(line) or SET.match(line) for line in typed if line)


@pytest.mark.parametrize("page", [page for page in pages() if page not in GENERATED])
def test_every_block_is_run(page: str) -> None:
    left = [
        f"{page}:{block.line}, {block.kind or 'a block'} below {block.heading!r}"
        for block in blocks(page)
        if (page, block.heading, block.kind) not in asked_for() and not is_typed(block)
    ]
    assert not left, "run by no test: " + "; ".join(left)
