"""A part of a picture that may have to do with less room than it wants."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fixwurx_celery.cli.terminal import QUIET, styled

__all__ = ["Part", "shared"]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the picture: `lines`, of which the first `fixed` are a heading; and what is said of
    the rows that are left out, when so many are shown."""

    lines: Sequence[str]
    fixed: int
    rest: Callable[[int], str]

    def within(self, size: int) -> list[str]:
        """In so many lines."""
        if len(self.lines) <= size:
            return list(self.lines)
        heading = self.lines[: self.fixed] if size > self.fixed + 1 else []
        shown = max(0, size - len(heading) - 1)
        rows = self.lines[self.fixed : self.fixed + shown]
        return [*heading, *rows, styled(self.rest(shown), QUIET)][:size]


def shared(wanted: Sequence[int], room: int) -> list[int]:
    """How many lines each part gets: what it wants, or a fair share of the room."""
    given = [0] * len(wanted)
    while room > 0 and any(w > g for w, g in zip(wanted, given, strict=True)):
        for i, want in enumerate(wanted):
            if room > 0 and want > given[i]:
                given[i] += 1
                room -= 1
    return given
