from fractions import Fraction

import pytest

from toolkit.errors import SingularMatrix
from toolkit.matrix.dense import Matrix
from toolkit.matrix.elimination import determinant, inverse, rank, solve
from toolkit.matrix.sparse import Sparse

A = Matrix([[1, 2], [3, 4]])


def test_shape_and_transpose():
    assert Matrix([[1, 2, 3]]).shape == (1, 3)
    assert Matrix([[1, 2, 3]]).T == Matrix([[1], [2], [3]])


@pytest.mark.parametrize("rows", [[], [[1], [1, 2]]])
def test_bad_rows(rows):
    with pytest.raises(ValueError, match="rows"):
        Matrix(rows)


def test_sum_and_product():
    assert A + A == Matrix([[2, 4], [6, 8]])
    assert A @ Matrix([[0, 1], [1, 0]]) == Matrix([[2, 1], [4, 3]])


@pytest.mark.parametrize("operation", [lambda: A + Matrix([[1]]), lambda: A @ Matrix([[1, 2]])])
def test_shapes_must_fit(operation):
    with pytest.raises(ValueError, match="cannot"):
        operation()


@pytest.mark.parametrize(("n", "fib"), [(0, 0), (1, 1), (2, 1), (10, 55), (50, 12586269025)])
def test_power(n, fib):
    assert (Matrix([[1, 1], [1, 0]]) ** n).rows[0][1] == fib


@pytest.mark.parametrize(
    ("rows", "value"),
    [([[5]], 5), ([[1, 2], [3, 4]], -2), ([[0, 1], [1, 0]], -1), ([[1, 2], [2, 4]], 0),
     ([[2, 0, 1], [1, 3, 2], [1, 1, 1]], 0), ([[2, 0, 1], [1, 3, 2], [1, 1, 4]], 18)],
)  # fmt: skip
def test_determinant(rows, value):
    assert determinant(Matrix(rows)) == value


@pytest.mark.parametrize(
    ("rows", "value"), [([[0]], 0), ([[1, 2], [2, 4]], 1), ([[1, 2, 3], [4, 5, 6]], 2), ([[0, 1], [0, 2]], 1)]
)
def test_rank(rows, value):
    assert rank(Matrix(rows)) == value


def test_inverse():
    assert inverse(A) @ A == Matrix.identity(2)
    assert inverse(Matrix([[0, 2], [1, 0]])) == Matrix([[0, 1], [Fraction(1, 2), 0]])
    with pytest.raises(SingularMatrix):
        inverse(Matrix([[1, 2], [2, 4]]))


def test_solve():
    assert solve(A, [5, 6]) == [-4, Fraction(9, 2)]


def test_sparse():
    matrix = Sparse([(0, 1, 2), (1, 0, 3), (1, 0, -3), (0, 1, 1)])
    assert matrix.entries == {(0, 1): 3}
    assert matrix.times([5, 7], 2) == [21, 0]
    assert matrix.transposed().entries == {(1, 0): 3}
