def find_subset(numbers, target):
    """A list of the numbers that add up to target, or None; earlier numbers first."""
    if target == 0:
        return []
    if not numbers:
        return None
    head, rest = numbers[0], numbers[1:]
    with_head = find_subset(rest, target - head)
    if with_head is not None:
        return [head] + with_head
    find_subset(rest, target)
