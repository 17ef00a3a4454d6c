"""Asks PyPI what holes are known of the versions that an image is built with.

    python docker/known_holes.py constraints.txt

Exit status 0: none is known; 1: some are, and named; 3: none is known of those that PyPI told of,
and the others are named. The image has these versions and no others (docker/Dockerfile sees to it).
"""

import json
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

INDEX: Final = "https://pypi.org/pypi"
TIMEOUT_S: Final = 60
AT_ONCE: Final = 6


def pins_of(text: str) -> list[tuple[str, str]]:
    """Names and versions of lines like `celery==5.7.0`."""
    lines = (line.partition("#")[0].strip().partition("==") for line in text.splitlines())
    return [(name, version) for name, _, version in lines if name]


def told_of(name: str, version: str) -> list[dict[str, Any]] | None:
    """The holes that PyPI knows of this version; None when it does not tell."""
    for path in (f"{name}/{version}", name):  # a mirror may have the newest version's alone
        try:
            with urllib.request.urlopen(f"{INDEX}/{path}/json", timeout=TIMEOUT_S) as answer:  # noqa: S310
                told = json.load(answer)
        except urllib.error.HTTPError:
            continue
        if told["info"]["version"] == version:
            # The same hole may be there under each of its names.
            known = {frozenset([hole["id"], *hole["aliases"]]): hole
                     for hole in told["vulnerabilities"] if not hole.get("withdrawn")}  # fmt: skip
            return [*known.values()]
    return None


def main(file: str) -> int:
    """Prints what is known of the versions in the file; the exit status."""
    pins = pins_of(Path(file).read_text("utf-8"))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        told = [*pool.map(lambda pin: told_of(*pin), pins)]
    found, untold = 0, []
    for (name, version), holes in zip(pins, told, strict=True):
        if holes is None:
            untold.append(f"{name} {version}")
        for hole in holes or ():
            found += 1
            names, mended = [hole["id"], *hole["aliases"]], ", ".join(hole["fixed_in"])
            print(f"{name} {version}: {' '.join(names)}; mended in {mended or 'nothing yet'}")
    print(f"{len(pins) - len(untold)} of {len(pins)} versions: {found or 'no'} known holes", end="")
    print(f"; not told of: {', '.join(untold)}" if untold else "")
    return 1 if found else 3 if untold else 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except OSError as error:
        sys.exit(f"{INDEX} cannot be asked: {error}")
