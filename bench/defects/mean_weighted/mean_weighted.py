def weighted_mean(values, weights):
    """The mean of values by their weights; 0.0 when all weights are zero."""
    if len(values) != len(weights):
        raise ValueError("values and weights differ in number")
    total = sum(weights)
    return sum(v * w for v, w in zip(values, weights)) / total
