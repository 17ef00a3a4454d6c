import pytest
from counting_order import counting_sort


@pytest.mark.parametrize("values", [[], [0], [3, 1, 2], [2, 2, 2], [4, 0, 4, 1]])
def test_sorts(values):
    assert counting_sort(values, 5) == sorted(values)


def test_range():
    with pytest.raises(ValueError):
        counting_sort([5], 5)
    with pytest.raises(ValueError):
        counting_sort([-1], 5)
