"""Content negotiation: what the client prefers of what the server can give."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class MediaRange:
    """One entry of an Accept header."""

    type: str
    subtype: str
    quality: float = 1.0

    @property
    def specificity(self) -> int:
        return (self.type != "*") + (self.subtype != "*")

    def matches(self, mimetype: str) -> bool:
        type_, _, subtype = mimetype.partition("/")
        return self.type in ("*", type_) and self.subtype in ("*", subtype)


def parse_accept(header: str) -> list[MediaRange]:
    """The entries, best first: by quality, then the more specific one."""
    ranges = []
    for entry in header.split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        if "/" not in name:
            continue
        quality = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip().lower() == "q":
                quality = _quality(value)
        type_, _, subtype = name.lower().partition("/")
        ranges.append(MediaRange(type_, subtype, quality))
    ranges.sort(key=lambda r: (r.quality, r.specificity))
    return ranges


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def best_match(header: str, offered: Sequence[str]) -> str | None:
    """The offer the client likes best; the server's order decides among equals."""
    best: tuple[float, str] | None = None
    ranges = sorted(parse_accept(header), key=lambda r: -r.specificity)
    for mimetype in offered:
        quality = next((r.quality for r in ranges if r.matches(mimetype)), 0.0)
        if quality > 0 and (best is None or quality > best[0]):
            best = (quality, mimetype)
    return best[1] if best else None
