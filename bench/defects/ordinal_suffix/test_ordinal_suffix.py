import pytest
from ordinal_suffix import ordinal


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (21, "21st"), (101, "101st"), (111, "111th"), (113, "113th"), (212, "212th"), (10, "10th"), (32, "32nd"), (43, "43rd"), (51, "51st"), (72, "72nd"), (1011, "1011th")],
)
def test_ordinal(number, text):
    assert ordinal(number) == text
