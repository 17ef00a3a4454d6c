"""Commands and files of the documentation, to be run and read as they stand there."""

import re

from tests.support.surroundings import ROOT

__all__ = ["documented", "section", "shown"]

AT_THE_ROOT = ("README.md", "CONTRIBUTING.md")


def documented(page: str, heading: str) -> list[str]:
    """What is to be typed under that heading of the page, a line each, without comments."""
    lines = "".join(shown(page, heading)).replace("\\\n", " ").splitlines()
    return [found for line in lines if (found := re.sub(r"(^|\s+)#.*$", "", line).strip())]


def shown(page: str, heading: str, kind: str = "sh") -> list[str]:
    """The texts of the fenced blocks of that kind under that heading."""
    block = rf"^```{kind}\n(.*?)^```$"
    return re.findall(block, section(page, heading), re.MULTILINE | re.DOTALL)


def section(page: str, heading: str) -> str:
    """All that stands below that heading, and above the next one."""
    text = (ROOT / ("" if page in AT_THE_ROOT else "docs") / page).read_text()
    fenced = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
    # A comment in a block begins as a heading does.
    masked = fenced.sub(lambda block: block.group().replace("#", "\0"), text)
    parts = re.split(r"^#+ (.+)$", masked, flags=re.MULTILINE)
    [found] = [body for title, body in zip(parts[1::2], parts[2::2], strict=True)
               if title == heading]  # fmt: skip
    return found.replace("\0", "#")
