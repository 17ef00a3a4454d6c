def quick_sort(items):
    """A sorted copy; equal items are kept."""
    if len(items) <= 1:
        return list(items)
    pivot = items[0]
    lower = [x for x in items[1:] if x < pivot]
    upper = [x for x in items[1:] if x > pivot]
    return quick_sort(lower) + [pivot] + quick_sort(upper)
