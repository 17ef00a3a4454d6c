"""What the documents have installed, from a wheel of this tree, into a Python that has nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documented import blocks, pages, prose, shown
from tests.support.surroundings import ROOT, surroundings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

INSTALL = re.compile(r"pip install ('fixwurx-celery\[[a-z,]+\]'|fixwurx-celery$)", re.M)


def installed() -> list[str]:
    """Each requirement that some page has installed, that without an extra first."""
    texts = [
        *(block.text for page in pages() for block in blocks(page)),
        *(line.replace("`", "\n") for page in pages() for _, line in prose(page)),
    ]
    return sorted({found.strip("'") for text in texts for found in INSTALL.findall(text)})


def test_each_extra_installs_and_the_smallest_repairs_a_bug(tmp_path: Path) -> None:
    own = {**surroundings(HOME=str(tmp_path)), "PYTHONPATH": ""}

    def run(*command: object, cwd: Path = tmp_path) -> str:
        done = subprocess.run(
            [str(part) for part in command], cwd=cwd, env=own, capture_output=True, text=True,
            timeout=400, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout + done.stderr

    wheels, python = tmp_path / "wheels", tmp_path / "venv/bin/python"
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", wheels, ROOT)
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    pip = (python, "-m", "pip", "-q", "--disable-pip-version-check")
    install = (*pip, "install", "-c", ROOT / "constraints.txt", "--find-links", wheels)
    requirements = installed()
    assert len(requirements) >= 7

    run(*install, "fixwurx-celery[embedded]")
    program, start, _ = shown("tutorial.md", "1. One command")
    run("bash", "-ec", program)
    # What the tests of the tutorial's bug need is the reader's.
    run(*install, "pytest")
    own["PATH"] = f"{python.parent}:{own['PATH']}"
    assert "discount: FIXED" in run("bash", "-ec", start, cwd=tmp_path / "shop")

    for requirement in requirements:
        run(*install, requirement)
        run(*pip, "check")
    own["FIXWURX_REDIS_URL"] = "redis://127.0.0.1:1/0"  # where nothing is
    assert "TORNADO_ARGV" in run("celery", "-A", "fixwurx_celery", "flower", "--help")
    assert "cannot reach the store" in run("bash", "-c", "fixwurx-celery metrics --once || true")
