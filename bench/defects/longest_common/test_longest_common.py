import pytest
from longest_common import common_length


@pytest.mark.parametrize(
    ("a", "b", "length"),
    [
        ("", "", 0), ("a", "", 0), ("abc", "abc", 3), ("abcde", "ace", 3), ("ace", "abcde", 3),
        ("abc", "def", 0), ("AGGTAB", "GXTXAYB", 4), ("xa", "ax", 1), ("a", "ab", 1), ("b", "bc", 1),
    ],
)
def test_length(a, b, length):
    assert common_length(a, b) == length
