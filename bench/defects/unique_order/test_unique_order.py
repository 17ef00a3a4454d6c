from unique_order import unique


def test_plain():
    assert list(unique([1, 2, 1, 3, 2])) == [1, 2, 3]


def test_nothing():
    assert list(unique([])) == []


def test_key():
    assert list(unique(["a", "B", "A", "b"], key=str.lower)) == ["a", "B"]


def test_length_key():
    assert list(unique(["one", "two", "three"], key=len)) == ["one", "three"]


def test_unhashable_with_key():
    assert list(unique([[1], [2], [1]], key=tuple)) == [[1], [2]]


def test_lazy():
    assert next(unique(iter([7, 7]))) == 7
