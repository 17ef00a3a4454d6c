"""The output folder of a run, from which a later run goes on."""

import json
from pathlib import Path
from typing import Any

import pytest

from fixwurx_celery.cli.results import Results
from fixwurx_celery.errors import FixwurxError


def line(
    bug_id: str, outcome: str = "FIXED", input_name: str = "i1", **more: Any
) -> dict[str, Any]:
    patch = f"{bug_id}.patch" if outcome == "FIXED" else None
    return {"id": bug_id, "outcome": outcome, "patch": patch, "input": input_name} | more


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out"


def recorded(folder: Path, *lines: dict[str, Any]) -> None:
    results = Results(folder)
    for each in lines:
        results.record(each, "diff\n" if each["patch"] else None)
    results.close()


@pytest.mark.parametrize("outcome", ["FIXED", "NOT_FIXED", "NOT_REPRODUCED", "DONE"])
def test_an_answer_to_the_same_input_is_found_again(folder: Path, outcome: str) -> None:
    recorded(folder, line("a", outcome))

    results = Results(folder)

    assert results.answer("a", "i1") == line("a", outcome)
    assert results.answer("a", "i2") is None
    assert results.answer("b", "i1") is None


@pytest.mark.parametrize("outcome", ["ERROR", "TIMED_OUT", "CANCELLED"])
def test_what_is_no_answer_is_kept_to_be_read_only(folder: Path, outcome: str) -> None:
    recorded(folder, line("a", outcome))

    results = Results(folder)

    assert results.answer("a", "i1") is None
    assert results.known_ids() == frozenset()
    assert outcome in (folder / "results.jsonl").read_text()


def test_the_last_line_about_a_bug_counts(folder: Path) -> None:
    recorded(folder, line("a", "ERROR"), line("a", "FIXED"), line("b"), line("b", "TIMED_OUT"))

    results = Results(folder)

    assert results.known_ids() == {"a"}


def test_a_crash_at_any_byte_leaves_a_file_that_is_gone_on_with(folder: Path) -> None:
    recorded(folder, line("a"), line("b", "NOT_FIXED"))
    whole = (folder / "results.jsonl").read_bytes()
    first = whole.index(b"\n") + 1

    for cut in range(first, len(whole)):
        (folder / "results.jsonl").write_bytes(whole[:cut])
        recorded(folder, line("c", "NOT_FIXED"))
        lines = (folder / "results.jsonl").read_text().splitlines()
        assert [json.loads(text)["id"] for text in lines] == ["a", "c"]


def test_a_fixed_bug_whose_patch_was_removed_is_not_answered(folder: Path) -> None:
    recorded(folder, line("a"))
    (folder / "a.patch").unlink()

    assert Results(folder).answer("a", "i1") is None


def test_the_patch_of_an_earlier_question_goes(folder: Path) -> None:
    recorded(folder, line("a"), line("a", "NOT_FIXED", "i2"))

    assert [path.name for path in folder.glob("*.patch")] == []


def test_one_run_at_a_time_has_the_folder(folder: Path) -> None:
    first = Results(folder)

    with pytest.raises(FixwurxError, match=r"another run is writing to .*out; wait until it has"):
        Results(folder)
    first.close()

    Results(folder).close()


def test_logs_of_a_later_run_do_not_overwrite_those_of_an_earlier_one(folder: Path) -> None:
    results = Results(folder)
    results.write_log("a", 1, "first")
    results.write_log("a", 2, "second \udcff")
    results.write_log("a.b", 7, "another bug's")

    assert results.attempts_logged("a") == 2
    assert results.attempts_logged("c") == 0


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")

    with pytest.raises(FixwurxError, match="name another folder with -o"):
        Results(tmp_path / "out")
