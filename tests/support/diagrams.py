"""The state diagrams of the documents, to be compared with what the code does."""

import re

from tests.support.documented import shown

__all__ = ["OUTSIDE", "edges"]

OUTSIDE = "[*]"


def edges(page: str, heading: str) -> set[tuple[str, str]]:
    """From state to state, `[*]` where one begins or is over."""
    [diagram] = shown(page, heading, "mermaid")
    found = re.findall(r"^\s+(\S+) --> (\S+):", diagram, re.MULTILINE)
    assert found, f"{page}: no edges below {heading}"
    return set(found)
