import pytest

from reflow import boxed, chunks, indent, narrowest, wrap


def test_short_text():
    assert wrap("a short line", 20) == ["a short line"]


def test_breaks_at_spaces():
    assert wrap("the quick brown fox", 10) == ["the quick", "brown fox"]


def test_exact_fit():
    assert wrap("ab cd", 5) == ["ab cd"]


def test_long_word_is_broken():
    assert wrap("x abcdefghij y", 4) == ["x", "abcd", "efgh", "ij y"]


def test_chunks():
    assert list(chunks("abcdef", 3)) == ["abc", "def"]
    assert list(chunks("abcdefg", 3)) == ["abc", "def", "g"]
    assert list(chunks("", 3)) == [""]


@pytest.mark.parametrize(
    ("text", "most_lines", "width"),
    [("one two three four", 4, 5), ("one two three four", 2, 10), ("one two", 1, 7), ("", 3, 1)],
)
def test_narrowest(text, most_lines, width):
    assert narrowest(text, most_lines) == width


def test_no_lines_are_refused():
    with pytest.raises(ValueError, match="at least one line"):
        narrowest("x", 0)


def test_box():
    assert boxed("hi there", 9) == "+-------+\n| hi    |\n| there |\n+-------+"


def test_indent():
    assert indent(["a", "", "b"], "> ") == ["> a", "", "> b"]


def test_width_is_checked():
    with pytest.raises(ValueError, match="width"):
        wrap("x", 0)
