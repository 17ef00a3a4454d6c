"""The scan of docs/containers.md: what PyPI knows of the versions that are installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documented import documented
from tests.support.surroundings import ROOT

pytestmark = pytest.mark.slow
SCAN = [sys.executable, str(ROOT / "docker/known_holes.py")]


def test_none_is_known_of_ours() -> None:
    [command] = [line for line in documented("containers.md", "The image") if "audit" in line]
    done = subprocess.run(
        command.split(), cwd=ROOT, capture_output=True, text=True, timeout=400, check=False
    )
    if "cannot be asked" in done.stderr:
        pytest.skip(done.stderr)

    assert done.returncode == 0, done.stdout + done.stderr
    asked, _, all_of_them, *_ = done.stdout.splitlines()[-1].split()
    assert int(asked) > 0.9 * int(all_of_them)


def test_what_is_known_is_named(tmp_path: Path) -> None:
    """Its last version has a hole that nobody will mend."""
    (tmp_path / "c.txt").write_text("# comment\npycrypto==2.6.1\n")
    done = subprocess.run(
        [*SCAN, str(tmp_path / "c.txt")], capture_output=True, text=True, timeout=100, check=False
    )
    if "cannot be asked" in done.stderr:
        pytest.skip(done.stderr)

    assert done.returncode == 1
    assert "CVE-2018-6594" in done.stdout
