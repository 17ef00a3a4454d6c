"""What `bug logs` puts on a terminal, piece by piece."""

import sys

import pytest

from fixwurx_celery.cli.logs import Pieces
from fixwurx_celery.store.records import bug_record

RECORD = bug_record("b", {"state": "RUNNING", "class": "3|"})


def pieces_on_terminal(monkeypatch: pytest.MonkeyPatch) -> Pieces:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    return Pieces()


@pytest.mark.parametrize(
    "pieces",
    [
        ["a \x1b[31mred\x1b[0m\r\nb\n"],
        ["a \x1b", "[31mred\x1b[0", "m\r", "\nb\n"],
        list("a \x1b[31mred\x1b[0m\r\nb\n"),
    ],
)
def test_codes_that_come_in_pieces_are_left_out_as_a_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, pieces: list[str]
) -> None:
    output = pieces_on_terminal(monkeypatch)

    for piece in pieces:
        output.write(RECORD, 1, piece)

    assert capsys.readouterr().out == "a red\nb\n"


def test_words_begin_a_line_of_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = pieces_on_terminal(monkeypatch)

    output.write(RECORD, 1, "no end")
    output.words("run 2 of bug b")
    output.write(RECORD, 2, "x\n")
    output.words("bug b: FIXED")

    said = capsys.readouterr()
    assert said.out == "no end\nx\n"
    assert said.err == "run 2 of bug b\nbug b: FIXED\n"


def test_elsewhere_a_log_is_as_it_was_printed(capsys: pytest.CaptureFixture[str]) -> None:
    output = Pieces()

    for piece in ("a \x1b", "[31mred\x1b[0m\r", "\nno end"):
        output.write(RECORD, 1, piece)
    output.words("bug b: FIXED")

    assert capsys.readouterr().out == "a \x1b[31mred\x1b[0m\r\nno end"
