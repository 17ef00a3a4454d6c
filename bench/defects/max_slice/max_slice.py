def best_slice(values):
    """The largest sum of a run of neighbours; an empty run is not allowed."""
    if not values:
        raise ValueError("no values")
    best = current = values[0]
    for value in values[1:]:
        current = current + value
        best = max(best, current)
    return best
