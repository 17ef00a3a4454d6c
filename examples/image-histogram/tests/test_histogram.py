import pytest

from raster.histogram import cumulative, equalize, histogram, percentile


def test_histogram():
    counts = histogram([[0, 1, 1], [255, 1, 0]])
    assert (counts[0], counts[1], counts[255], sum(counts)) == (2, 3, 1, 6)


def test_cumulative():
    assert cumulative([1, 0, 2]) == [1, 1, 3]


def test_percentile():
    counts = histogram([list(range(100))])
    assert percentile(counts, 0.5) == 49
    assert percentile(counts, 1.0) == 99
    with pytest.raises(ValueError, match="share"):
        percentile(counts, 0)


def test_equalize_two_levels():
    assert [list(row) for row in equalize([[10, 20]])] == [[0, 255]]


def test_equalize_spreads_evenly():
    assert [list(row) for row in equalize([[3, 4], [5, 6]])] == [[0, 85], [170, 255]]


def test_flat_image_stays():
    assert [list(row) for row in equalize([[7, 7], [7, 7]])] == [[7, 7], [7, 7]]


def test_large_image():
    rows = [[(x * y) % 256 for x in range(80)] for y in range(60)]
    out = equalize(rows)
    assert min(min(row) for row in out) == 0
    assert max(max(row) for row in out) == 255
