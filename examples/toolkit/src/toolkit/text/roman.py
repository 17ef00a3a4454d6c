"""Roman numerals from 1 to 3999."""

from toolkit.errors import ParseError

_SIGNS = [
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
    (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
]  # fmt: skip


def to_roman(number: int) -> str:
    if not 0 < number < 4000:
        raise ValueError(f"no roman numeral for {number}")
    parts = []
    for value, sign in _SIGNS:
        count, number = divmod(number, value)
        parts.append(sign * count)
    return "".join(parts)


def from_roman(text: str) -> int:
    number, at = 0, 0
    for value, sign in _SIGNS:
        while text.startswith(sign, at):
            number += value
            at += len(sign)
    if at != len(text) or number == 0 or to_roman(number) != text:
        raise ParseError(f"not a roman numeral: {text!r}", at)
    return number
