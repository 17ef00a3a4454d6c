"""Numbers and foreign texts as people read them."""

import re
from typing import Final

__all__ = ["clean", "clean_lines", "counted"]

STYLE_CODES = re.compile(r"\x1b\[[0-9;:]*m")
LINE_ENDS = re.compile(r"\r\n|[\r\n]")
UNSEEN: Final = {0x200D: None, 0xFE0E: None, 0xFE0F: None, 0x00AD: None}
"""What joins or varies characters, which each terminal counts in its own way."""


def counted(count: int, noun: str) -> str:
    """`1 bug`, `2 bugs`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def clean(value: object) -> str:
    """The value as one line that cannot move the cursor, whoever wrote it."""
    text = " ".join(str(value).translate(UNSEEN).split())
    return "".join(char if char.isprintable() else "�" for char in text)


def clean_lines(text: str) -> str:
    """The text in its own lines, likewise. Colours are left out of it."""

    def seen(char: str) -> str:
        if char == "\t" or char.isprintable():
            return char
        return " " if char.isspace() else "�"

    lines = LINE_ENDS.split(STYLE_CODES.sub("", text).translate(UNSEEN))
    return "\n".join("".join(map(seen, line)) for line in lines)
