"""A list that keeps itself sorted, in short pieces so that insertion stays cheap."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator


class OrderedNumbers:
    """Sorted numbers, duplicates allowed."""

    _LOAD = 8  # a piece is halved when it is longer than twice this

    def __init__(self, numbers: Iterable[float] = ()) -> None:
        self._pieces: list[list[float]] = []
        self._highest: list[float] = []
        for number in numbers:
            self.add(number)

    def add(self, number: float) -> None:
        if not self._pieces:
            self._pieces.append([number])
            self._highest.append(number)
            return
        at = min(bisect_right(self._highest, number), len(self._pieces) - 1)
        piece = self._pieces[at]
        insort(piece, number)
        if len(piece) > 2 * self._LOAD:
            self._pieces.insert(at + 1, piece[self._LOAD :])
            del piece[self._LOAD :]
            self._highest.insert(at, piece[-1])
        self._highest[at] = piece[-1]
        if at + 1 < len(self._pieces):
            self._highest[at + 1] = self._pieces[at + 1][-1]

    def __len__(self) -> int:
        return sum(len(piece) for piece in self._pieces)

    def __iter__(self) -> Iterator[float]:
        for piece in self._pieces:
            yield from piece

    def __contains__(self, number: float) -> bool:
        at = bisect_left(self._highest, number)
        if at == len(self._pieces):
            return False
        piece = self._pieces[at]
        return piece[bisect_left(piece, number)] == number

    def between(
        self, low: float, high: float, inclusive: tuple[bool, bool] = (True, True)
    ) -> list[float]:
        """The numbers from low to high; each end counts or not as `inclusive` says."""
        found: list[float] = []
        for piece in self._pieces:
            start = bisect_left(piece, low) if inclusive[0] else bisect_right(piece, low)
            stop = bisect_right(piece, high) if inclusive[0] else bisect_left(piece, high)
            found.extend(piece[start:stop])
        return found

    def count(self, number: float) -> int:
        return len(self.between(number, number))
