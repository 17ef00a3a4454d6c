from datetime import datetime

import pytest

from timescale import elapsed, tai_offset


@pytest.mark.parametrize(
    ("moment", "offset"),
    [
        (datetime(1972, 1, 1), 10),
        (datetime(1972, 6, 30, 23, 59, 59), 10),
        (datetime(1972, 7, 1), 11),
        (datetime(2016, 12, 31), 36),
        (datetime(2017, 1, 1), 37),
        (datetime(2024, 5, 5), 37),
    ],
)
def test_offset(moment, offset):
    assert tai_offset(moment) == offset


def test_elapsed_over_a_leap_second():
    assert elapsed(datetime(2016, 12, 31, 23, 59, 59), datetime(2017, 1, 1)) == 2


def test_before_the_table():
    with pytest.raises(ValueError, match="1972"):
        tai_offset(datetime(1970, 1, 1))
