import pytest

from toolkit.errors import ParseError
from toolkit.parsing.expression import evaluate
from toolkit.parsing.ini import read_ini
from toolkit.parsing.tokens import tokens
from toolkit.parsing.versions import Version, latest


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("1+2*3", 7), ("(1+2)*3", 9), ("2^3^2", 512), ("-2^2", -4), ("10-4-3", 3),
     ("8/4/2", 1), ("--3", 3), ("min(3, 1+1)", 2), ("abs(-7)", 7), ("x*y", 12), ("2*-3", -6)],
)  # fmt: skip
def test_evaluate(text, value):
    assert evaluate(text, {"x": 3, "y": 4}) == value


@pytest.mark.parametrize("text", ["", "1+", "(1", "1 2", "z", "foo(1)", "1+*2", "min(1", "$"])
def test_bad_expression(text):
    with pytest.raises(ParseError):
        evaluate(text)


def test_tokens():
    assert [(t.kind, t.text) for t in tokens("a1 + 2.5")] == [
        ("name", "a1"), ("sign", "+"), ("number", "2.5"), ("end", "")
    ]  # fmt: skip


def test_ini():
    text = "top = 1\n[a]\nx = 1 = 2\n# note\ny = one\n  two\n\n[b]\n"
    assert read_ini(text) == {"": {"top": "1"}, "a": {"x": "1 = 2", "y": "one\ntwo"}, "b": {}}


def test_bad_ini():
    with pytest.raises(ParseError) as caught:
        read_ini("a = 1\nnonsense")
    assert caught.value.position == 2


@pytest.mark.parametrize(
    ("lower", "higher"),
    [("1.0", "1.1"), ("1.9", "1.10"), ("2.0rc1", "2.0"), ("2.0a9", "2.0b1"), ("1.0", "1.0.1"), ("v1", "2")],
)
def test_version_order(lower, higher):
    assert Version(lower) < Version(higher)
    assert Version(higher) > Version(lower)


def test_equal_versions():
    assert Version("1.0.0") == Version("v1")
    assert len({Version("1"), Version("1.0")}) == 1


@pytest.mark.parametrize(
    ("texts", "newest"), [([], None), (["1.0", "2.0rc1"], "1.0"), (["2.0a1", "2.0b1"], "2.0b1"), (["1.2", "1.10"], "1.10")]
)
def test_latest(texts, newest):
    assert latest(texts) == newest


def test_latest_of_all():
    assert latest(["1.0", "2.0rc1"], stable=False) == "2.0rc1"


@pytest.mark.parametrize("text", ["", "x", "1.", "1.0gamma1"])
def test_bad_version(text):
    with pytest.raises(ParseError):
        Version(text)
