"""Parameter types: each turns the text of an argument into a value or refuses it."""

from collections.abc import Sequence
from difflib import get_close_matches


class BadParameter(ValueError):
    """The text of an argument cannot be taken."""


class IntRange:
    """Whole numbers between two bounds; either may be open or missing."""

    def __init__(
        self, low: int | None = None, high: int | None = None, *, clamp: bool = False
    ) -> None:
        self.low = low
        self.high = high
        self.clamp = clamp

    def convert(self, text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise BadParameter(f"{text!r} is not a whole number") from None
        if self.low is not None and value < self.low:
            if self.clamp:
                return self.low
            raise BadParameter(f"{value} is below {self.low}")
        if self.high is not None and value > self.high:
            if self.clamp:
                return self.high
            raise BadParameter(f"{value} is above {self.high}")
        return value


class Choice:
    """One of several words; the value is the word as it was declared."""

    def __init__(self, choices: Sequence[str], *, case_sensitive: bool = True) -> None:
        self.choices = tuple(choices)
        self.case_sensitive = case_sensitive

    def _normalize(self, word: str) -> str:
        return word if self.case_sensitive else word.casefold()

    def convert(self, text: str) -> str:
        normed = self._normalize(text)
        known = {self._normalize(choice): choice for choice in self.choices}
        if normed in known:
            return normed
        near = get_close_matches(normed, known, n=1)
        hint = f", did you mean {known[near[0]]!r}?" if near else ""
        raise BadParameter(f"{text!r} is not one of {', '.join(self.choices)}{hint}")
