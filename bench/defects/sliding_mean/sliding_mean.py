from collections import deque


def moving_average(values, width):
    """Means of the last width values, beginning when there are enough."""
    window = deque()
    total = 0
    for value in values:
        window.append(value)
        total += value
        if len(window) > width:
            total -= window.pop()
        if len(window) == width:
            yield total / width
