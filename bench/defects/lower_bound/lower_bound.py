def lower_bound(items, target):
    """The first place in a sorted list at which target could be inserted."""
    low, high = 0, len(items) - 1
    while low < high:
        middle = (low + high) // 2
        if items[middle] < target:
            low = middle + 1
        else:
            high = middle
    return low
