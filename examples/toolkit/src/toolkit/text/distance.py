"""How different two words are."""

from collections.abc import Iterable


def edit_distance(a: str, b: str) -> int:
    """The fewest insertions, deletions and replacements."""
    if len(a) < len(b):
        a, b = b, a
    previous = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (x != y)))
        previous = row
    return previous[-1]


def similarity(a: str, b: str) -> float:
    """1.0 for equal words, 0.0 for those with nothing in common."""
    longest = max(len(a), len(b))
    return 1.0 if longest == 0 else 1 - edit_distance(a, b) / longest


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The most similar known word, the first of several; None when all are too different."""
    best: tuple[float, str] | None = None
    for candidate in known:
        score = similarity(word, candidate)
        if score >= cutoff and (best is None or score > best[0]):
            best = (score, candidate)
    return best[1] if best else None
