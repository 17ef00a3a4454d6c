def unique(items, key=None):
    """Items without those whose key was seen before, order kept."""
    seen = set()
    for item in items:
        mark = item if key is None else key(item)
        if mark not in seen:
            seen.add(item)
            yield item
