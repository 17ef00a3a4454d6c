def longest_rise(values):
    """The length of the longest strictly rising subsequence."""
    best = []
    for i, value in enumerate(values):
        length = 0
        for j in range(i):
            if values[j] < value and best[j] + 1 > length:
                length = best[j] + 1
        best.append(length)
    return max(best, default=0)
