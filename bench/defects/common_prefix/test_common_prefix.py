import pytest
from common_prefix import common_prefix


@pytest.mark.parametrize(
    ("words", "prefix"),
    [([], ""), ([""], ""), (["abc"], "abc"), (["flower", "flow", "flight"], "fl"), (["dog", "car"], ""), (["in", "inside", "inner"], "in"), (["a", ""], "")],
)
def test_prefix(words, prefix):
    assert common_prefix(words) == prefix
