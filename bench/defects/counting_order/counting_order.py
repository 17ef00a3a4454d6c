def counting_sort(values, limit):
    """Sort whole numbers below limit."""
    counts = [0] * limit
    for value in values:
        if not 0 <= value < limit:
            raise ValueError(f"{value} is out of range")
        counts[value] += 1
    ordered = []
    for value, count in enumerate(counts):
        ordered.extend([count] * count)
    return ordered
