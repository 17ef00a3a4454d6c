"""Rectangular matrices."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Union

Number = Union[int, Fraction]


class Matrix:
    """Immutable rows of fractions."""

    def __init__(self, rows: Sequence[Sequence[Number]]) -> None:
        if not rows or any(len(row) != len(rows[0]) for row in rows):
            raise ValueError("rows must have equal length, and there must be some")
        self.rows = tuple(tuple(Fraction(x) for x in row) for row in rows)

    @classmethod
    def identity(cls, size: int) -> "Matrix":
        return cls([[int(i == j) for j in range(size)] for i in range(size)])

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), len(self.rows[0])

    @property
    def T(self) -> "Matrix":  # noqa: N802
        return Matrix(list(zip(*self.rows, strict=True)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Matrix) and self.rows == other.rows

    def __hash__(self) -> int:
        return hash(self.rows)

    def __add__(self, other: "Matrix") -> "Matrix":
        if self.shape != other.shape:
            raise ValueError(f"cannot add {self.shape} and {other.shape}")
        return Matrix(
            [
                [a + b for a, b in zip(left, right, strict=True)]
                for left, right in zip(self.rows, other.rows, strict=True)
            ]
        )

    def __matmul__(self, other: "Matrix") -> "Matrix":
        if self.shape[1] != other.shape[0]:
            raise ValueError(f"cannot multiply {self.shape} and {other.shape}")
        columns = other.T.rows
        return Matrix(
            [
                [sum((a * b for a, b in zip(row, col, strict=True)), Fraction()) for col in columns]
                for row in self.rows
            ]
        )

    def __pow__(self, exponent: int) -> "Matrix":
        if exponent < 0:
            raise ValueError("negative powers are not supported")
        result, base = Matrix.identity(self.shape[0]), self
        while exponent:
            if exponent & 1:
                result = result @ base
            base = base @ base
            exponent >>= 1
        return result
