"""Commands of docs/, to be run as they stand there."""

import re

from tests.support.surroundings import ROOT

__all__ = ["documented"]

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def documented(page: str, heading: str) -> list[str]:
    """What is to be typed under that heading of the page, a line each, without comments."""
    text = (ROOT / "docs" / page).read_text()
    parts = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)
    [section] = [body for title, body in zip(parts[1::2], parts[2::2], strict=True)
                 if title == heading]  # fmt: skip
    lines = "".join(BLOCK.findall(section)).replace("\\\n", " ").splitlines()
    return [found for line in lines if (found := re.sub(r"(^|\s+)#.*$", "", line).strip())]
