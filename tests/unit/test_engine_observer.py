import os
from pathlib import Path

import pytest

from fixwurx_celery.engine.analyst.base import Observation
from fixwurx_celery.engine.observer import from_json, localise, run_reproduce, to_json
from fixwurx_celery.engine.payload import parse
from fixwurx_celery.engine.process import Processes
from fixwurx_celery.engine.spectrum import Spectrum
from fixwurx_celery.engine.steps import Steps
from fixwurx_celery.engine.tracebacks import traceback_lines
from fixwurx_celery.engine.workspace import Workspace
from tests.support.engine_repos import (
    BARE,
    PYTEST,
    confined,
    gcd_repo,
    nothing_left_behind,
    write_tree,
)


def observe(tmp_path: Path, reproduce: str, **payload: object) -> Observation:
    """What the observer finds in the tree that lies in the workspace's source folder."""
    work = parse({"source": {"path": "x"}, "reproduce": reproduce, **payload})  # type: ignore[dict-item]
    workspace = Workspace(tmp_path, confined())
    workspace.seal()

    def script(processes: Processes) -> Steps[Observation]:
        failure = yield from run_reproduce(work, workspace, processes)
        assert not failure.passed
        return (yield from localise(work, workspace, processes, failure, lambda _: None))

    with nothing_left_behind(tmp_path), Processes(workspace.sandbox) as processes:
        steps = script(processes)
        while True:
            try:
                next(steps)
            except StopIteration as ended:
                observation = ended.value
                break
    assert isinstance(observation, Observation)
    assert sorted(tmp_path.glob("copy-*")) == []
    return observation


def test_lines_only_failing_tests_run_are_the_most_suspicious(tmp_path: Path) -> None:
    gcd_repo(tmp_path / "source")

    seen = observe(tmp_path, PYTEST)

    assert seen.failing_tests == ("tests/test_gcd.py::test_gcd",)
    assert seen.passing_tests == ("tests/test_gcd.py::test_lcm_of_zero",)
    assert seen.files == ("gcd.py",)
    assert {line for (_, line), value in seen.suspicion.items() if value == 1.0} == {2, 3, 4}
    assert ("gcd.py", 9) not in seen.suspicion
    assert "assert 0 == 6" in seen.failing_output


def test_passing_tests_of_verify_count_too(tmp_path: Path) -> None:
    gcd_repo(tmp_path / "source")
    only = PYTEST + "::test_gcd"

    seen = observe(tmp_path, only, verify=f"{BARE} python -m pytest -q")

    assert seen.passing_tests == ("tests/test_gcd.py::test_lcm_of_zero",)


@pytest.mark.parametrize(
    "reproduce",
    [
        f"{BARE} PYTHONPATH=src python -m pytest -q tests",
        f"cd tests && {BARE} PYTHONPATH='../src' pytest -q .",
    ],
)
def test_the_probe_works_however_pytest_is_reached(tmp_path: Path, reproduce: str) -> None:
    source = gcd_repo(tmp_path / "source")
    (source / "src").mkdir()
    (source / "gcd.py").rename(source / "src" / "gcd.py")

    seen = observe(tmp_path, reproduce)

    assert seen.files == ("src/gcd.py",)
    assert len(seen.failing_tests) == len(seen.passing_tests) == 1


def test_unittest_is_traced_test_by_test(tmp_path: Path) -> None:
    source = gcd_repo(tmp_path / "source")
    write_tree(
        source,
        {
            "test_u.py": "import unittest\nfrom gcd import gcd, lcm\n\n"
            "class T(unittest.TestCase):\n"
            "    def test_a(self):\n        self.assertEqual(gcd(12, 18), 6)\n"
            "    def test_b(self):\n        self.assertEqual(lcm(0, 3), 0)\n"
        },
    )

    seen = observe(tmp_path, "python -m unittest -q test_u")

    assert seen.failing_tests == ("test_u.T.test_a",)
    assert seen.suspicion["gcd.py", 4] == 1.0
    assert ("gcd.py", 9) not in seen.suspicion


def test_a_plain_script_points_at_the_lines_it_ran(tmp_path: Path) -> None:
    source = gcd_repo(tmp_path / "source")
    write_tree(source, {"check.py": "from gcd import gcd\nassert gcd(12, 18) == 6\n"})

    seen = observe(tmp_path, "python check.py")

    assert seen.files == ("gcd.py",)
    assert ("gcd.py", 4) in seen.suspicion
    assert ("gcd.py", 10) not in seen.suspicion


def test_a_test_that_hangs_has_a_traceback_and_coverage(tmp_path: Path) -> None:
    source = gcd_repo(tmp_path / "source")
    text = (source / "gcd.py").read_text().replace("a, b = b, a % b", "a = a % b")
    (source / "gcd.py").write_text(text)

    seen = observe(tmp_path, PYTEST, reproduce_timeout=2)

    assert seen.timed_out
    assert seen.failing_tests == ("tests/test_gcd.py::test_gcd",)
    assert seen.passing_tests == ("tests/test_gcd.py::test_lcm_of_zero",)
    assert seen.suspicion["gcd.py", 3] == 1.0
    assert seen.traceback_lines[0][0] == "gcd.py"


def test_files_bound_what_is_suspected(tmp_path: Path) -> None:
    source = write_tree(
        tmp_path / "source",
        {
            "a.py": "import b\ndef f():\n    return b.g()\n",
            "b.py": "def g():\n    return 1\n",
            "test_a.py": "import a\ndef test():\n    assert a.f() == 2\n",
        },
    )
    assert source.is_dir()

    seen = observe(tmp_path, f"{BARE} python -m pytest -q test_a.py", files=["b.py"])

    assert seen.files == ("b.py",)
    assert {path for path, _ in seen.suspicion} == {"b.py"}


def test_the_source_is_left_as_it_was(tmp_path: Path) -> None:
    source = gcd_repo(tmp_path / "source")
    before = sorted((path, path.stat().st_mtime_ns) for path in source.rglob("*"))

    observe(tmp_path, f"touch made-by-test; {PYTEST}")

    assert sorted((path, path.stat().st_mtime_ns) for path in source.rglob("*")) == before


def test_an_observation_survives_a_checkpoint(tmp_path: Path) -> None:
    gcd_repo(tmp_path / "source")
    seen = observe(tmp_path, PYTEST)

    assert from_json(to_json(seen, max_lines=3000, max_output=8000)) == seen


def test_frames_are_read_from_every_kind_of_traceback(tmp_path: Path) -> None:
    write_tree(tmp_path, {"pkg/a.py": "", "pkg/b.py": "", "tests/test_a.py": "", "only/c.py": ""})
    output = f"""
Traceback (most recent call last):
  File "{tmp_path}/pkg/a.py", line 10, in outer
  File "/usr/lib/python3/json.py", line 99, in loads
  File "{tmp_path}/pkg/b.py", line 20, in inner
ValueError: x
Current thread 0x00007f (most recent call first):
  File "{tmp_path}/pkg/b.py", line 5 in deep
  File "{tmp_path}/pkg/a.py", line 6 in shallow
_______________________ test_a _______________________
tests/test_a.py:3:
_ _ _ _ _
pkg/a.py:7: in f
pkg/b.py:8: ValueError
c.py:44: error somewhere in a folder below
no/such/file.py:1: error
"""

    frames = traceback_lines(output, tmp_path)

    depth = {(path, line): at for path, line, at in frames}
    assert depth["pkg/b.py", 20] == depth["pkg/b.py", 5] == 0
    assert depth["pkg/a.py", 10] == depth["pkg/a.py", 6] == 1
    assert depth["only/c.py", 44] == 0
    assert depth["tests/test_a.py", 3] == 3
    assert len(frames) == 8
    assert [at for _, _, at in frames] == sorted(at for _, _, at in frames)


def test_suspicion_is_ochiais() -> None:
    spectrum = Spectrum()
    spectrum.add(
        {
            "failing": {"a.py": {"1": 2, "2": 1}},
            "passing": {"a.py": {"1": 2, "3": 4}},
            "imported": {"a.py": [1, 9]},
            "names": {"failing": ["f1", "f2"], "passing": ["p"]},
            "counts": {"failing": 2, "passing": 6},
        }
    )

    found = spectrum.suspicion()

    assert found["a.py", 1] == pytest.approx(2 / (2 * 4) ** 0.5)
    assert found["a.py", 2] == pytest.approx(1 / 2**0.5)
    assert ("a.py", 3) not in found
    assert found["a.py", 9] == pytest.approx(0.5 * 2 / (2 * 8) ** 0.5)


def test_the_probe_needs_no_coverage_library(tmp_path: Path) -> None:
    gcd_repo(tmp_path / "source")
    hidden = write_tree(tmp_path / "hidden", {"coverage.py": "raise ImportError('not here')\n"})

    seen = observe(tmp_path, f"PYTHONPATH={hidden}{os.pathsep}. {PYTEST}")

    assert seen.suspicion["gcd.py", 4] == 1.0
    assert seen.passing_tests == ("tests/test_gcd.py::test_lcm_of_zero",)
