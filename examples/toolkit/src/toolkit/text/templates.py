"""Strings with named holes: `${name}` and `${name:default}`."""

from collections.abc import Mapping

from toolkit.errors import ParseError


def fill(template: str, values: Mapping[str, object]) -> str:
    """The template with its holes filled; `$$` is one dollar."""
    parts: list[str] = []
    at = 0
    while at < len(template):
        dollar = template.find("$", at)
        if dollar < 0:
            parts.append(template[at:])
            break
        parts.append(template[at:dollar])
        if template.startswith("$$", dollar):
            parts.append("$")
            at = dollar + 2
            continue
        if not template.startswith("${", dollar):
            raise ParseError("a lone dollar", dollar)
        end = template.find("}", dollar)
        if end < 0:
            raise ParseError("a hole without end", dollar)
        name, colon, default = template[dollar + 2 : end].partition(":")
        if name in values:
            parts.append(str(values[name]))
        elif colon:
            parts.append(default)
        else:
            raise KeyError(name)
        at = end + 1
    return "".join(parts)
