import pytest
from rpn_eval import evaluate


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ("2 3 +", 5), ("7 2 -", 5), ("8 4 /", 2), ("3 4 + 2 *", 14), ("1 2 3 * -", -5)],
)
def test_value(text, value):
    assert evaluate(text) == value


@pytest.mark.parametrize("text", ["", "+", "1 +", "1 2", "x"])
def test_refused(text):
    with pytest.raises(ValueError):
        evaluate(text)
