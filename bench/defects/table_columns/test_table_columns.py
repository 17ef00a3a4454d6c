import pytest
from table_columns import render


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([], ""),
        ([["a"]], "a"),
        ([["a", "b"], ["long", "c"]], "a     b\nlong  c"),
        ([["x", 1], ["y", 100]], "x  1\ny  100"),
        ([["a", "b"], ["c"]], "a  b\nc"),
        ([["", "b"], ["long", "c"]], "      b\nlong  c"),
    ],
)
def test_render(rows, text):
    assert render(rows) == text


def test_gap():
    assert render([["a", "b"]], " | ") == "a | b"
