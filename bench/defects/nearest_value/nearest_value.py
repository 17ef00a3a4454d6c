def nearest(values, target):
    """The value closest to target, the smaller one of two."""
    best = None
    for value in sorted(values):
        if best is None or abs(value - target) < best - target:
            best = value
    if best is None:
        raise ValueError("no values")
    return best
