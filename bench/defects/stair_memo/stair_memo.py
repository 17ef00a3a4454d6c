def count_climbs(steps, strides=(1, 2)):
    """In how many ways a stair can be climbed with the given strides."""
    known = {}

    def climb(left):
        if left < 0:
            return 0
        if left == 0:
            return 1
        if left not in known:
            known[left] = sum(climb(left - 1) for stride in strides)
        return known[left]

    return climb(steps)
