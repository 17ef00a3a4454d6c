def shell_sort(items):
    """Insertion sort over shrinking gaps."""
    result = list(items)
    gap = len(result) // 2
    while gap > 0:
        for i in range(gap, len(result)):
            item = result[i]
            j = i
            while j >= gap and result[j - gap] > item:
                result[j] = result[j - gap]
                j -= gap
            result[j] = item
        gap -= 2
    return result
