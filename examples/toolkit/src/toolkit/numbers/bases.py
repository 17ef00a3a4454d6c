"""Numbers in other bases."""

from toolkit.errors import ParseError

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def to_base(number: int, base: int) -> str:
    if not 2 <= base <= 36:
        raise ValueError(f"base {base} is not between 2 and 36")
    if number == 0:
        return "0"
    digits, rest = [], abs(number)
    while rest:
        rest, digit = divmod(rest, base)
        digits.append(_DIGITS[digit])
    return ("-" if number < 0 else "") + "".join(reversed(digits))


def from_base(text: str, base: int) -> int:
    number = 0
    body = text.removeprefix("-").lower()
    for position, sign in enumerate(body):
        digit = _DIGITS.find(sign)
        if not 0 <= digit < base:
            raise ParseError(f"no digit of base {base}: {sign!r}", position)
        number = number * base + digit
    return -number if text.startswith("-") else number
