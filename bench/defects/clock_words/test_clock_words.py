import pytest
from clock_words import show_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59, "0:59"), (60, "1:00"), (1500, "25:00"), (3599, "59:59"), (3600, "1:00:00"), (3723, "1:02:03"), (-61, "-1:01"), (90000, "25:00:00")],
)
def test_text(seconds, text):
    assert show_duration(seconds) == text
