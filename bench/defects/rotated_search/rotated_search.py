def find_in_rotated(items, target):
    """The index of target in a sorted list that was rotated, or -1."""
    low, high = 0, len(items) - 1
    while low <= high:
        middle = (low + high) // 2
        if items[middle] == target:
            return middle
        if items[low] <= items[middle]:
            if items[low] <= target < items[middle]:
                high = middle - 1
            else:
                low = middle + 1
        elif items[middle] < target <= items[low]:
            low = middle + 1
        else:
            high = middle - 1
    return -1
