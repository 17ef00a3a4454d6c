"""Values of plain scalars in configuration files: numbers, truth values, nothing, text."""

import math
import re

_INT = re.compile(r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*(:[0-5]?[0-9])*)")
_FLOAT = re.compile(r"[-+]?([0-9][0-9_]*)?\.[0-9_]*([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", re.I)
_WORDS = {
    "yes": True, "true": True, "on": True,
    "no": False, "false": False, "off": False,
    "": None, "~": None, "null": None,
}  # fmt: skip


def construct_int(text: str) -> int:
    """A whole number: binary, hexadecimal, decimal, or 1:30:00 to the base of sixty."""
    value = text.replace("_", "")
    sign = -1 if value[0] == "-" else 1
    value = value.lstrip("+-")
    if value.startswith("0b"):
        return sign * int(value[2:], 2)
    if value.startswith("0x"):
        return sign * int(value[2:], 16)
    total = 0
    for digits in value.split(":"):
        total = total * 60 + int(digits)
    return total


def construct_float(text: str) -> float:
    value = text.replace("_", "").lower()
    if value == ".nan":
        return math.nan
    if value.endswith(".inf"):
        return -math.inf if value[0] == "-" else math.inf
    return float(value)


def construct(text: str) -> int | float | bool | str | None:
    """What a scalar without quotes stands for."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INT.fullmatch(text):
        return construct_int(text)
    if _FLOAT.fullmatch(text) and text.strip("+-") != ".":
        return construct_float(text)
    return text
