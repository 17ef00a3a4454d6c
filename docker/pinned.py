"""Ends with 1 when a package that is installed here is not of the version that is pinned.

    python docker/pinned.py constraints.txt

What the suite ran on, and nothing else, is what an image has.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path

UNPINNED = {"fixwurx-celery", "pip", "setuptools", "wheel"}
"""Ourselves, and what Python brings to install with."""


def canonical(name: str) -> str:
    """As an index compares names of packages."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(constraints: Path) -> dict[str, str]:
    """Versions by canonical name."""
    lines = (line.partition("#")[0].strip() for line in constraints.read_text().splitlines())
    return {canonical(n): v for n, is_pin, v in (line.partition("==") for line in lines) if is_pin}


def strangers(installed: Mapping[str, str], pinned: Mapping[str, str]) -> Iterator[str]:
    """A line for each package of another version, or of none that is pinned."""
    for name, version in sorted(installed.items()):
        if name not in UNPINNED and pinned.get(name) != version:
            yield f"{name} {version} is installed; pinned is {pinned.get(name, 'no version')}"


def main() -> int:
    """Looks at the Python that runs this."""
    found = {canonical(each.metadata["Name"]): each.version for each in distributions()}
    wrong = list(strangers(found, pins(Path(sys.argv[1]))))
    print("\n".join(wrong) or f"all of {len(found)} packages are as pinned")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
