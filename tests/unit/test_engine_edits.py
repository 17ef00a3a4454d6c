import pytest

from fixwurx_celery.engine.edits import EditRules, is_test_file, matches, named_paths


@pytest.mark.parametrize(
    "path",
    ["test_a.py", "src/a_test.py", "tests/data.json", "pkg/tests/x/y.py", "conftest.py",
     "web/a.test.ts", "a_test.go"],
)  # fmt: skip
def test_test_files_are_known_by_name_or_folder(path: str) -> None:
    assert is_test_file(path)


@pytest.mark.parametrize("path", ["contest.py", "src/latest.py", "attestation/a.py", "testing.md"])
def test_other_files_are_not_test_files(path: str) -> None:
    assert not is_test_file(path)


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("src/a.py", "src/a.py", True),
        ("./src/a.py", "src/a.py", True),
        ("src", "src/deep/a.py", True),
        ("src/", "src/a.py", True),
        ("src/*.py", "src/a.py", True),
        ("src/*.py", "src/deep/a.py", False),
        ("src/**/*.py", "src/a.py", True),
        ("src/**/*.py", "src/x/y/a.py", True),
        ("**/*.py", "a.py", True),
        ("a[bc].py", "ab.py", True),
        ("a[!b].py", "ab.py", False),
        ("src/a.py", "xsrc/a.py", False),
        ("a.py", "aXpy", False),
        ("src", "srcs/a.py", False),
    ],
)
def test_globs_stop_at_slashes_and_folders_cover_what_is_below(
    glob: str, path: str, expected: bool
) -> None:
    assert matches(path, [glob]) is expected


def test_paths_are_found_in_a_command() -> None:
    found = named_paths("cd x && python -m pytest -q './tests/test_a.py::T::test_b' > out.txt")

    assert {"x", "tests/test_a.py", "out.txt"} <= found


def refusal(path: str, *files: str, command: str = "pytest tests/test_a.py") -> str | None:
    return EditRules(files=files, commands=(command,)).refusal(path)


def test_tests_that_judge_are_never_edited() -> None:
    assert "a test file" in (refusal("tests/test_a.py", "tests/test_a.py") or "")
    assert "a test file" in (refusal("tests/test_b.py") or "")
    assert refusal("tests/support.py", "tests/support.py") is None


def test_files_bound_the_edits() -> None:
    assert refusal("src/a.py", "src/") is None
    assert refusal("lib/b.py", "src/") == "edits lib/b.py, outside files (src/)"


def test_a_script_named_in_the_command_is_edited_only_when_listed() -> None:
    reason = refusal("check.py", command="python check.py")

    assert reason == "edits check.py, which the commands name; list it under files to allow that"
    assert refusal("check.py", "check.py", command="python check.py") is None


def test_what_configures_the_tests_is_edited_only_when_listed() -> None:
    assert "configures the tests" in (refusal("pyproject.toml") or "")
    assert "configures the tests" in (refusal("sub/sitecustomize.py") or "")
    assert refusal("pyproject.toml", "pyproject.toml") is None
