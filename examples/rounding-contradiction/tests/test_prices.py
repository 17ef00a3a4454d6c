# Nobody can fix this one: two teams wrote down opposite rules for a price half way.
import pytest

from prices import to_step, total


@pytest.mark.parametrize(("cents", "rounded"), [(0, 0), (2, 0), (3, 5), (7, 5), (8, 10), (12, 10)])
def test_nearest(cents, rounded):
    assert to_step(cents) == rounded


def test_half_way_is_rounded_up_for_the_shop():
    assert to_step(25, step=10) == 30


def test_half_way_is_rounded_down_for_the_customer():
    assert to_step(25, step=10) == 20


def test_rounded_once():
    assert total([1, 1, 1]) == 5


def test_step_is_checked():
    with pytest.raises(ValueError, match="step"):
        to_step(1, step=0)
