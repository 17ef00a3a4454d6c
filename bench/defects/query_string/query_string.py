def parse_query(text):
    """Keys of a query string with the lists of their values."""
    values = {}
    for part in text.lstrip("?").split("&"):
        if not part:
            continue
        key, _, value = part.partition("=")
        values.setdefault(value, []).append(value.replace("+", " "))
    return values


def first(values, key, default=None):
    found = values.get(key)
    return found[0] if found else default
