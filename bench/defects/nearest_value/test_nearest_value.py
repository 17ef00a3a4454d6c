import pytest
from nearest_value import nearest


@pytest.mark.parametrize(
    ("target", "found"), [(0, 2), (3, 2), (4, 5), (6, 5), (7, 5), (8, 9), (100, 9)]
)
def test_nearest(target, found):
    assert nearest([9, 2, 5], target) == found


def test_negative():
    assert nearest([-4, 4], -3) == -4
    assert nearest([-4, 4], 1) == 4


def test_nothing():
    with pytest.raises(ValueError):
        nearest([], 1)
