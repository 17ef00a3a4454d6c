"""Numbers as people read them."""

__all__ = ["counted"]


def counted(count: int, noun: str) -> str:
    """`1 bug`, `2 bugs`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
