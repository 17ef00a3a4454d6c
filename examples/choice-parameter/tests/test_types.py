# Modelled on click's Choice: without case sensitivity the normalised word was returned instead
# of the declared one.
import pytest

from argkit.types import BadParameter, Choice, IntRange


def test_choice_as_declared():
    assert Choice(["debug", "info"]).convert("info") == "info"


def test_choice_in_another_case():
    assert Choice(["DEBUG", "Info"], case_sensitive=False).convert("info") == "Info"


def test_choice_in_capitals():
    assert Choice(["DEBUG", "Info"], case_sensitive=False).convert("debug") == "DEBUG"


def test_case_matters_by_default():
    with pytest.raises(BadParameter):
        Choice(["debug"]).convert("Debug")


def test_near_miss_is_named_as_declared():
    with pytest.raises(BadParameter, match="did you mean 'Verbose'"):
        Choice(["Verbose", "Quiet"], case_sensitive=False).convert("verbos")


@pytest.mark.parametrize(("text", "value"), [("3", 3), ("1", 1), ("10", 10)])
def test_range(text, value):
    assert IntRange(1, 10).convert(text) == value


@pytest.mark.parametrize("text", ["0", "11", "x"])
def test_range_refuses(text):
    with pytest.raises(BadParameter):
        IntRange(1, 10).convert(text)


def test_range_clamps():
    assert IntRange(1, 10, clamp=True).convert("99") == 10
    assert IntRange(1, 10, clamp=True).convert("-5") == 1
