def parse_settings(text):
    """Names and values of `name = value` lines; # begins a comment."""
    settings = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.split("#", 1)[0].strip()
        if not line:
            continue
        if "=" not in line:
            raise ValueError(f"line {number}: no equal sign")
        name, value = line.rsplit("=", 1)
        settings[name.strip()] = value.strip()
    return settings
