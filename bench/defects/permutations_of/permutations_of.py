def permutations(items):
    """All orders of a list, in lexicographic order of places."""
    result = []
    used = [False] * len(items)
    current = []

    def extend():
        if len(current) == len(items):
            result.append(current)
            return
        for place, item in enumerate(items):
            if not used[place]:
                used[place] = True
                current.append(item)
                extend()
                current.pop()
                used[place] = False

    extend()
    return result
