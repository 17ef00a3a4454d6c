import pytest
from chunk_stream import chunks


@pytest.mark.parametrize(
    ("count", "size", "result"),
    [(0, 2, []), (1, 2, [[0]]), (2, 2, [[0, 1]]), (5, 2, [[0, 1], [2, 3], [4]]), (4, 1, [[0], [1], [2], [3]]), (3, 9, [[0, 1, 2]])],
)
def test_chunks(count, size, result):
    assert list(chunks(range(count), size)) == result


def test_lazy():
    endless = iter(int, 1)
    assert next(chunks(endless, 3)) == [0, 0, 0]


def test_size():
    with pytest.raises(ValueError):
        next(chunks([1], 0))
