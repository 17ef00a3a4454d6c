import pytest
from edit_steps import edit_distance


@pytest.mark.parametrize(
    ("a", "b", "steps"),
    [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("cat", "cut", 1), ("kitten", "sitting", 3), ("xabc", "abc", 1), ("abc", "xxabc", 2)],
)
def test_steps(a, b, steps):
    assert edit_distance(a, b) == steps
