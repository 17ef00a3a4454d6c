"""Gauss: determinant, inverse, rank, solutions."""

from fractions import Fraction

from toolkit.errors import SingularMatrix
from toolkit.matrix.dense import Matrix


def _reduce(rows: list[list[Fraction]], columns: int) -> tuple[int, Fraction]:
    """Bring rows to reduced echelon form in place; rank and determinant factor."""
    rank, factor = 0, Fraction(1)
    for column in range(columns):
        pivot = next((r for r in range(rank, len(rows)) if rows[r][column]), None)
        if pivot is None:
            continue
        if pivot != rank:
            rows[rank], rows[pivot] = rows[pivot], rows[rank]
            factor = -factor
        lead = rows[rank][column]
        factor *= lead
        rows[rank] = [x / lead for x in rows[rank]]
        for other in range(len(rows)):
            if other != rank and rows[other][column]:
                times = rows[other][column]
                rows[other] = [
                    x - times * y for x, y in zip(rows[other], rows[rank], strict=True)
                ]
        rank += 1
    return rank, factor


def rank(matrix: Matrix) -> int:
    return _reduce([list(row) for row in matrix.rows], matrix.shape[1])[0]


def determinant(matrix: Matrix) -> Fraction:
    height, width = matrix.shape
    if height != width:
        raise ValueError("only square matrices have a determinant")
    found, factor = _reduce([list(row) for row in matrix.rows], width)
    return factor if found == height else Fraction(0)


def inverse(matrix: Matrix) -> Matrix:
    size = matrix.shape[0]
    unit = Matrix.identity(size)
    rows = [list(a) + list(b) for a, b in zip(matrix.rows, unit.rows, strict=True)]
    if _reduce(rows, size)[0] < size:
        raise SingularMatrix("the matrix has no inverse")
    return Matrix([row[size:] for row in rows])


def solve(matrix: Matrix, right: list[int]) -> list[Fraction]:
    """x with matrix @ x == right."""
    column = Matrix([[value] for value in right])
    return [row[0] for row in (inverse(matrix) @ column).rows]
