"""Histograms of whole images, and the contrast stretch that rests on them."""

from array import array
from collections.abc import Iterable, Sequence

LEVELS = 256


def histogram(rows: Iterable[Sequence[int]]) -> list[int]:
    """How often each level occurs."""
    counts = [0] * LEVELS
    for row in rows:
        for level in row:
            counts[level] += 1
    return counts


def cumulative(counts: Sequence[int]) -> list[int]:
    total, sums = 0, []
    for count in counts:
        total += count
        sums.append(total)
    return sums


def percentile(counts: Sequence[int], share: float) -> int:
    """The lowest level at or below which at least that share of the pixels lies."""
    if not 0 < share <= 1:
        raise ValueError("share must be above 0 and at most 1")
    sums = cumulative(counts)
    for level, reached in enumerate(sums):
        if reached >= share * sums[-1]:
            return level
    return LEVELS - 1


def equalize(rows: Sequence[Sequence[int]]) -> list[array]:
    """The image with its levels spread evenly; a flat image stays as it is."""
    sums = cumulative(histogram(rows))
    lowest = next((s for s in sums if s), 0)
    spread = sums[-1] - lowest
    if spread == 0:
        return [array("B", row) for row in rows]
    table = [round((s - lowest) * (LEVELS + 1) / spread) if s else 0 for s in sums]
    return [array("B", (table[level] for level in row)) for row in rows]
