def find_peaks(values):
    """Indexes of items larger than both neighbours; the ends have one neighbour."""
    peaks = []
    last = len(values) - 1
    for index, value in enumerate(values):
        left_ok = index == 0 or value > values[index - 1]
        right_ok = index == last or value > values[index + 1]
        if left_ok and right_ok:
            peaks.append(index)
    return peaks


def highest_peak(values):
    """The index of the highest peak, the first of several; None without any."""
    best = None
    for index in find_peaks(values):
        if best is None or values[index] >= values[best]:
            best = index
    return best
