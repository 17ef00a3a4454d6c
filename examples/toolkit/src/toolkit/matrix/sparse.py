"""Matrices that are mostly zero."""

from collections.abc import Iterable


class Sparse:
    """Entries by place; zeros are never kept."""

    def __init__(self, entries: Iterable[tuple[int, int, int]] = ()) -> None:
        self.entries: dict[tuple[int, int], int] = {}
        for i, j, value in entries:
            self.add(i, j, value)

    def add(self, i: int, j: int, value: int) -> None:
        total = self.entries.get((i, j), 0) + value
        if total:
            self.entries[i, j] = total
        else:
            self.entries.pop((i, j), None)

    def times(self, vector: list[int], height: int) -> list[int]:
        result = [0] * height
        for (i, j), value in self.entries.items():
            result[i] += value * vector[j]
        return result

    def transposed(self) -> "Sparse":
        return Sparse((j, i, value) for (i, j), value in self.entries.items())
