def best_value(items, capacity):
    """The best value of (weight, value) items, each taken at most once."""
    best = [0] * (capacity + 1)
    for weight, value in items:
        for room in range(weight, capacity + 1):
            best[room] = max(best[room], best[room - weight] + value)
    return best[capacity]
