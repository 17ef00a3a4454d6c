"""Tables fit the terminal, and nothing that is printed can move its cursor."""

import json

import pytest
from rich.cells import cell_len

from fixwurx_celery.cli.table import Column, age, drawn, fitted, json_text, lines_of, verdict
from fixwurx_celery.domain.words import clean, clean_lines

COLUMNS = [
    Column(title="id", is_flexible=True),
    Column(title="state"),
    Column(title="runs", is_right=True, is_optional=True),
    Column(title="outcome", is_flexible=True),
]
ROWS = [
    ("BUG-1", "RUNNING", "1", ""),
    ("a-bug-with-an-id-that-is-rather-long", "DONE", "12", "FIXED: changed <= to < in a loop"),
]


def test_a_table_that_fits_is_not_shortened() -> None:
    lines = drawn(COLUMNS, ROWS, None)

    assert lines == [
        "ID                                    STATE    RUNS  OUTCOME",
        "BUG-1                                 RUNNING     1",
        "a-bug-with-an-id-that-is-rather-long  DONE       12  FIXED: changed <= to < in a loop",
    ]


@pytest.mark.parametrize("width", [7, 10, 20, 39, 40, 60, 79, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert all(cell_len(line) <= width for line in drawn(COLUMNS, ROWS, width))


def test_long_texts_are_shortened_before_a_column_is_left_out() -> None:
    heading, body, left_out = fitted(COLUMNS, ROWS, 50)

    assert [cell.strip() for cell in heading] == ["ID", "STATE", "RUNS", "OUTCOME"]
    assert body[1][0].endswith("…")
    assert body[1][3].endswith("…")
    assert left_out == []


def test_what_is_left_out_is_named() -> None:
    heading, _, left_out = fitted(COLUMNS, ROWS, 32)

    assert [cell.strip() for cell in heading] == ["ID", "STATE", "OUTCOME"]
    assert left_out == ["runs"]


def test_wide_characters_count_as_two_cells() -> None:
    lines = drawn([Column(title="id"), Column(title="b")], [("修正済み", "x"), ("ab", "y")], None)

    assert lines == ["ID        B", "修正済み  x", "ab        y"]


def test_control_characters_and_line_ends_are_not_printed() -> None:
    assert clean("a\x1b[2Jb\nc\td\x07") == "a�[2Jb c d�"
    assert clean("\u202eab\u2028\x9b31m") == "�ab �31m"
    assert clean("👩\u200d👧 ❤\ufe0f") == "👩👧 ❤"


def test_a_text_keeps_its_lines_and_loses_what_moves_the_cursor() -> None:
    text = "a\x1b[31mred\x1b[0m\tb\r\n50%\r100%\n\x1b]0;title\x07\x1b[2J\x0cc  d\n"

    assert clean_lines(text) == "ared\tb\n50%\n100%\n�]0;title��[2J c  d\n"


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (None, "-"), (-5, "0 ms"), (0, "0 ms"), (999, "999 ms"), (1000, "1 s"), (119_000, "119 s"),
        (120_000, "2 min"), (7_199_000, "120 min"), (7_200_000, "2 h"), (200_000_000, "2 d"),
    ],
)  # fmt: skip
def test_a_duration_has_one_unit(ms: float | None, words: str) -> None:
    assert age(ms) == words


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (None, ""),
        ({"outcome": "FIXED"}, "FIXED"),
        ({"outcome": "FIXED", "edit": "< becomes <=", "reason": "x"}, "FIXED: < becomes <="),
        ({"outcome": "ERROR", "reason": "git clone failed"}, "ERROR: git clone failed"),
        ({"score": 3}, '{"score": 3}'),
        ([1], "[1]"),
    ],
)
def test_an_outcome_is_one_line(outcome: object, words: str) -> None:
    assert verdict(outcome) == words


def test_text_is_wrapped_on_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "one two three four"

    assert lines_of(text, 4) == [text]

    monkeypatch.setattr("fixwurx_celery.cli.table.terminal_width", lambda: 18)
    assert lines_of(text, 4) == ["one two three", "four"]


def test_columns_stay_where_they_are_as_far_as_there_is_room() -> None:
    columns = [Column(title="a", least=6), Column(title="b")]

    assert drawn(columns, [("x", "y")], 20)[1] == "x       y"
    assert drawn(columns, [("x", "y")], 5)[1] == "x   y"


def test_json_on_a_terminal_cannot_move_the_cursor_and_is_the_same_json() -> None:
    value = {"a": "修正 \x9b31m \u202e \ud800", "b": ["x\n\x1b[2J"]}

    for indent in (None, 2):
        text = json_text(value, indent=indent)
        assert json.loads(text) == value
        assert text.replace("\n", "").isprintable()
        assert "修正" in text
