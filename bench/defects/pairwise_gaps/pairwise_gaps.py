def gaps(numbers):
    """Differences of neighbours, lazily."""
    previous = None
    for number in numbers:
        if previous is not None:
            yield number - previous
            previous = number


def is_rising(numbers):
    return all(gap > 0 for gap in gaps(numbers))
