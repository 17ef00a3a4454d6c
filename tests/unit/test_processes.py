"""Processes that are looked after: what is told of their ends, and how large their logs grow."""

import os
import sys
from pathlib import Path

import pytest

from fixwurx_celery.processes.child import Child, buried, last_lines
from tests.support.waiting import wait_until


def child(folder: Path, code: str, **more: str) -> Child:
    return Child(
        name="c", argv=[sys.executable, "-c", code], environment=more, log=folder / "c.log"
    )


@pytest.mark.parametrize(("code", "status"), [("exit(3)", 3), ("import os; os.abort()", -6)])
def test_the_dead_are_told_of_once_with_their_status(
    tmp_path: Path, code: str, status: int
) -> None:
    one = child(tmp_path, code)
    one.start()

    (told,) = wait_until("it is dead", lambda: list(buried([one])))

    assert told == (one, status)
    assert one.process is None
    assert list(buried([one])) == []


def test_a_log_is_emptied_at_the_first_start_only_and_when_it_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "c.log").write_text("of another time\n")
    one = child(tmp_path, "print('hello')")
    for _ in range(2):
        one.start()
        wait_until("it is dead", lambda: list(buried([one])))
    assert last_lines(one.log) == ["hello", "hello"]

    one.bound_log()
    assert one.log.stat().st_size == 12
    os.truncate(one.log, 33 * 2**20)
    one.bound_log()

    assert one.log.stat().st_size == 0


def test_last_lines_are_those_of_a_file_that_may_be_large_or_absent(tmp_path: Path) -> None:
    file = tmp_path / "log"
    assert last_lines(file) == []

    file.write_text("".join(f"line {n}\n\n" for n in range(10_000)))

    assert last_lines(file, 2) == ["line 9998", "line 9999"]


def test_an_environment_is_not_shown(tmp_path: Path) -> None:
    assert "s3cret" not in repr(child(tmp_path, "", PASSWORD="s3cret"))
