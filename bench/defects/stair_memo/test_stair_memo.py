import pytest
from stair_memo import count_climbs


@pytest.mark.parametrize(("steps", "ways"), [(0, 1), (1, 1), (2, 2), (3, 3), (4, 5), (10, 89), (40, 165580141)])
def test_small_strides(steps, ways):
    assert count_climbs(steps) == ways


def test_other_strides():
    assert count_climbs(4, (1, 3)) == 3
    assert count_climbs(3, (2,)) == 0
    assert count_climbs(6, (2, 3)) == 2
