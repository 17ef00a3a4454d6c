import pytest
from csv_fields import split_fields


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("", [""]),
        ("a,b", ["a", "b"]),
        ("a,,b,", ["a", "", "b", ""]),
        ('"a,b",c', ["a,b", "c"]),
        ('"say ""hi""",x', ['say "hi"', "x"]),
        ('5" pipe,x', ['5" pipe', "x"]),
        ('x,""', ["x", ""]),
    ],
)
def test_fields(line, fields):
    assert split_fields(line) == fields


def test_separator():
    assert split_fields("a;b,c", ";") == ["a", "b,c"]
