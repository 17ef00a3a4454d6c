# Modelled on pyyaml's integers: the sign of a number to the base of sixty went missing.
import math

import pytest

from plainscalars import construct


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("12", 12), ("1_000", 1000), ("0x1F", 31), ("-0b101", -5),
        ("1:30", 90), ("1:00:00", 3600),
    ],
)  # fmt: skip
def test_whole_numbers(text, value):
    assert construct(text) == value


@pytest.mark.parametrize(("text", "value"), [("-7", -7), ("-1:30", -90), ("+1:30", 90)])
def test_signs(text, value):
    assert construct(text) == value


@pytest.mark.parametrize(("text", "value"), [("1.5", 1.5), ("-.inf", -math.inf), (".5e2", 50.0)])
def test_floats(text, value):
    assert construct(text) == value


def test_nan():
    assert math.isnan(construct(".NaN"))


@pytest.mark.parametrize(("text", "value"), [("Yes", True), ("off", False), ("~", None), ("", None)])
def test_words(text, value):
    assert construct(text) is value


@pytest.mark.parametrize("text", ["hello", "1:75", "0x", "."])
def test_text(text):
    assert construct(text) == text
