import pytest

from toolkit.errors import ParseError
from toolkit.text.cases import camel, kebab, pascal, snake, words
from toolkit.text.distance import closest, edit_distance, similarity
from toolkit.text.roman import from_roman, to_roman
from toolkit.text.tables import table
from toolkit.text.templates import fill


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("snake_case", ["snake", "case"]), ("camelCase", ["camel", "case"]),
        ("HTTPServer", ["http", "server"]), ("utf8", ["utf", "8"]), ("", []),
        ("kebab-case-name", ["kebab", "case", "name"]), ("getURL", ["get", "url"]),
    ],
)  # fmt: skip
def test_words(name, parts):
    assert words(name) == parts


@pytest.mark.parametrize(
    ("convert", "result"),
    [(snake, "parse_http_header"), (kebab, "parse-http-header"),
     (pascal, "ParseHttpHeader"), (camel, "parseHttpHeader")],
)  # fmt: skip
def test_conventions(convert, result):
    assert convert("parseHTTPHeader") == result
    assert convert("") == ""


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("flaw", "lawn", 2), ("ab", "ba", 2),
     ("same", "same", 0), ("intention", "execution", 5)],
)  # fmt: skip
def test_edit_distance(a, b, distance):
    assert edit_distance(a, b) == edit_distance(b, a) == distance


def test_similarity():
    assert similarity("", "") == 1.0
    assert similarity("abcd", "abcx") == 0.75


@pytest.mark.parametrize(
    ("word", "found"), [("comit", "commit"), ("psuh", None), ("pull", "pull"), ("zzzz", None)]
)
def test_closest(word, found):
    assert closest(word, ["commit", "push", "pull"]) == found


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "I"), (4, "IV"), (9, "IX"), (14, "XIV"), (40, "XL"), (1994, "MCMXCIV"), (3999, "MMMCMXCIX")],
)
def test_roman(number, text):
    assert to_roman(number) == text
    assert from_roman(text) == number


@pytest.mark.parametrize("text", ["", "IIII", "IC", "VX", "ABC", "IVI"])
def test_not_roman(text):
    with pytest.raises(ParseError):
        from_roman(text)


@pytest.mark.parametrize("number", [0, -1, 4000])
def test_no_roman_numeral(number):
    with pytest.raises(ValueError, match="no roman numeral"):
        to_roman(number)


def test_table():
    text = table(["name", "n"], [["a", 5], ["long name", 12]])
    assert text.splitlines() == ["name       n", "---------  --", "a           5", "long name  12"]


@pytest.mark.parametrize(
    ("template", "text"),
    [("", ""), ("plain", "plain"), ("${a}!", "1!"), ("${z:none}", "none"), ("$$5", "$5"),
     ("${a}${b}", "1two"), ("${z:}", "")],
)  # fmt: skip
def test_fill(template, text):
    assert fill(template, {"a": 1, "b": "two"}) == text


@pytest.mark.parametrize(("template", "position"), [("a$b", 1), ("${open", 0)])
def test_bad_template(template, position):
    with pytest.raises(ParseError) as caught:
        fill(template, {})
    assert caught.value.position == position


def test_missing_value():
    with pytest.raises(KeyError):
        fill("${who}", {})
