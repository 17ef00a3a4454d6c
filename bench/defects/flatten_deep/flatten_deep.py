def flatten(items, depth=None):
    """One list of all items; lists are opened down to a depth, or all of them."""
    flat = []
    for item in items:
        if isinstance(item, list) and depth != 0:
            flat.append(flatten(item, None if depth is None else depth - 1))
        else:
            flat.append(item)
    return flat
