"""Sections of keys and values."""

from toolkit.errors import ParseError


def read_ini(text: str) -> dict[str, dict[str, str]]:
    """Comments start with # or ;, a continued value is indented."""
    sections: dict[str, dict[str, str]] = {"": {}}
    section, key = "", ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        if line[0].isspace() and key:
            sections[section][key] += "\n" + stripped
        elif stripped.startswith("[") and stripped.endswith("]"):
            section, key = stripped[1:-1].strip(), ""
            sections.setdefault(section, {})
        elif "=" in stripped:
            key, _, value = (part.strip() for part in stripped.partition("="))
            sections[section][key] = value
        else:
            raise ParseError("neither section nor key", number)
    return sections
