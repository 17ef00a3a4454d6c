import sys
from pathlib import Path

import pytest

from fixwurx_celery.engine.analyst.mutate.command_line import parse

ENVIRONMENT = {"PATH": str(Path(sys.executable).parent)}


@pytest.mark.parametrize(
    ("command", "args"),
    [
        ("python -m pytest", ()),
        ("python -m pytest -q -x tests/test_a.py", ("-q", "tests/test_a.py")),
        ("python -m pytest -qx --maxfail=1 --tb short a.py::t", ("-q", "a.py::t")),
        ("python -m pytest -n 4 -k 'a or b'", ("-k", "a or b")),
        ("env A=b timeout 10 python -m pytest t.py", ("t.py",)),
    ],
)
def test_a_pytest_run_is_recognised_without_what_would_stop_a_sweep(
    tmp_path: Path, command: str, args: tuple[str, ...]
) -> None:
    found = parse(command, tmp_path, ENVIRONMENT)

    assert found is not None
    assert found.args == args
    assert found.cwd_on_path


def test_folder_and_environment_are_kept(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()

    found = parse("cd sub && PYTHONPATH=src python -m pytest", tmp_path, ENVIRONMENT)

    assert found is not None
    assert (found.folder, dict(found.environment)) == ("sub", {"PYTHONPATH": "src"})


def test_the_bare_executable_does_not_put_the_folder_on_the_path(tmp_path: Path) -> None:
    found = parse("pytest -q", tmp_path, ENVIRONMENT)

    assert found is not None
    assert not found.cwd_on_path


@pytest.mark.parametrize(
    "command",
    [
        "make test",
        "python check.py",
        "python -m unittest",
        "python -m pytest a.py && python -m pytest b.py",
        "python -m pytest | tee log",
        "python -m pytest $TESTS",
        "python -m pytest tests/test_*.py",
        "python -m pytest 'unclosed",
        "cd missing && python -m pytest",
        "",
    ],
)
def test_what_only_a_shell_understands_is_left_to_it(tmp_path: Path, command: str) -> None:
    assert parse(command, tmp_path, ENVIRONMENT) is None
