"""Filling paragraphs to a width."""

from collections.abc import Iterator


def chunks(word: str, width: int) -> Iterator[str]:
    """A word in pieces of at most `width` characters."""
    while len(word) > width:
        yield word[:width]
        word = word[width:]
    yield word


def wrap(text: str, width: int) -> list[str]:
    """The lines of a paragraph; a word longer than a line is broken."""
    if width < 1:
        raise ValueError("width must be at least 1")
    lines: list[str] = []
    current = ""
    for word in text.split():
        for piece in chunks(word, width):
            if not current:
                current = piece
            elif len(current) + 1 + len(piece) <= width:
                current += " " + piece
            else:
                lines.append(current)
                current = piece
    if current:
        lines.append(current)
    return lines


def narrowest(text: str, most_lines: int) -> int:
    """The smallest width at which the paragraph has at most that many lines."""
    if most_lines < 1:
        raise ValueError("a paragraph has at least one line")
    low, high = 1, max(len(text), 1)
    while low < high:
        middle = (low + high) // 2
        if len(wrap(text, middle)) <= most_lines:
            high = middle
        else:
            low = middle
    return low


def indent(lines: list[str], prefix: str) -> list[str]:
    """Every line that is not empty, behind a prefix."""
    return [prefix + line if line else line for line in lines]


def boxed(text: str, width: int) -> str:
    """The paragraph in a frame that is `width` characters wide."""
    inner = wrap(text, width - 4)
    border = "+" + "-" * (width - 2) + "+"
    return "\n".join([border, *(f"| {line.ljust(width - 4)} |" for line in inner), border])
