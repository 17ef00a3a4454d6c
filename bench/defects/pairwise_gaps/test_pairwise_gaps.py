import pytest
from pairwise_gaps import gaps, is_rising


@pytest.mark.parametrize(
    ("numbers", "expected"), [([], []), ([4], []), ([1, 4], [3]), ([1, 4, 2], [3, -2]), ([0, 0, 5], [0, 5])]
)
def test_gaps(numbers, expected):
    assert list(gaps(numbers)) == expected


def test_iterator():
    assert list(gaps(iter([10, 7]))) == [-3]


def test_rising():
    assert is_rising([1, 2, 9])
    assert not is_rising([1, 1])
    assert not is_rising([3, 2])
    assert is_rising([5])
