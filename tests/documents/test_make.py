"""What the README and CONTRIBUTING have typed in a fresh clone."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.documented import documented, pages, prose, shown
from tests.support.surroundings import ROOT, surroundings

TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))


def test_every_target_that_is_named_is_one() -> None:
    typed = documented("README.md", "fixwurx-celery") + documented(
        "CONTRIBUTING.md", "Contributing"
    )
    words = [line for page in pages() for _, line in prose(page)]
    named = set(re.findall(r"`make ([a-z-]+)`", "\n".join(words)))
    named |= {line.removeprefix("make ") for line in typed}

    assert len(named) > 10
    assert named <= TARGETS


def test_help_lists_all_of_them() -> None:
    said = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20
    ).stdout

    assert {line.split()[0] for line in said.splitlines()} >= TARGETS


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_demo_repairs_what_the_readme_says_and_goes_on_when_run_again(tmp_path: Path) -> None:
    """In a clone, with nothing of this installation."""
    demo, _ = documented("README.md", "fixwurx-celery")
    [console] = shown("README.md", "fixwurx-celery", "console")
    (_, begin, *shown_lines, _, end) = console.splitlines()
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True, timeout=60)
    surrounding = {**surroundings(HOME=str(tmp_path)), "PYTHONPATH": ""}

    first, again = (
        subprocess.run(
            ["bash", "-c", f"exec 2>&1; {demo}"], cwd=clone, env=surrounding, timeout=500,
            capture_output=True, text=True, check=True,
        ).stdout
        for _ in range(2)
    )  # fmt: skip

    assert begin in first
    for line in shown_lines:
        name, change = line.partition(":")[0], line.rpartition(": ")[2]
        assert re.search(rf"^{name}: FIXED after .*: {re.escape(change)}$", first, re.M), first
    assert int(re.findall(r"^(\d+) of 24 fixed", first, re.M)[0]) >= int(end.split()[0]) - 3
    assert len([*clone.glob("out/*.patch")]) >= 18
    assert re.search(r"^\d+ of 24 fixed", again, re.M), again
