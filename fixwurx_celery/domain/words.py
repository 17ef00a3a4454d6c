"""Numbers and foreign texts as people read them."""

__all__ = ["clean", "counted"]


def counted(count: int, noun: str) -> str:
    """`1 bug`, `2 bugs`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def clean(value: object) -> str:
    """The value as one line that cannot move the cursor, whoever wrote it."""
    text = " ".join(str(value).split())
    return "".join(char if char.isprintable() else "�" for char in text)
