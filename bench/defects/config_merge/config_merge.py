def read_options(pairs, into=None):
    """Options from texts like name=value; later ones win, names are lower case."""
    options = {} if into is None else into
    for pair in pairs:
        name, separator, value = pair.partition("=")
        options[name.strip().lower()] = value.strip() if separator else True
    return options
