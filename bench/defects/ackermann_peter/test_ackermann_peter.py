import pytest
from ackermann_peter import ackermann


@pytest.mark.parametrize(
    ("m", "n", "value"), [(0, 0, 1), (0, 5, 6), (1, 0, 2), (1, 3, 5), (2, 0, 3), (2, 2, 7), (3, 1, 13)]
)
def test_value(m, n, value):
    assert ackermann(m, n) == value


def test_negative():
    with pytest.raises(ValueError):
        ackermann(-1, 0)
