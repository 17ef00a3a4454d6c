def insertion_sort(items, key=lambda item: item):
    """Sort a list in place, stably."""
    for i in range(1, len(items)):
        item = items[i]
        j = i
        while j > 0 and key(items[j - 1]) >= key(item):
            items[j] = items[j - 1]
            j -= 1
        items[j] = item
    return items
