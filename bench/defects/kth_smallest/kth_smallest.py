def kth_smallest(items, k):
    """The k-th smallest item, counted from zero."""
    if not 0 <= k < len(items):
        raise IndexError(k)
    pivot = items[len(items) // 2]
    below = [x for x in items if x < pivot]
    above = [x for x in items if x > pivot]
    equal = len(items) - len(below) - len(above)
    if k < len(below):
        return kth_smallest(below, k)
    if k < len(below) + equal:
        return pivot
    return kth_smallest(above, k)
