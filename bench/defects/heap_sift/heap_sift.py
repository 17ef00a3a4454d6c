def sift_down(heap, root, size):
    """Let the item at root sink until both its children are smaller."""
    while True:
        child = 2 * root
        if child >= size:
            return
        if child + 1 < size and heap[child] < heap[child + 1]:
            child += 1
        if heap[root] >= heap[child]:
            return
        heap[root], heap[child] = heap[child], heap[root]
        root = child


def heap_sort(items):
    heap = list(items)
    size = len(heap)
    for root in range(size // 2 - 1, -1, -1):
        sift_down(heap, root, size)
    for end in range(size - 1, 0, -1):
        heap[0], heap[end] = heap[end], heap[0]
        sift_down(heap, 0, end)
    return heap
