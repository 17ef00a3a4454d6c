def group_anagrams(words):
    """Lists of words made of the same letters, in order of first appearance."""
    groups = {}
    for word in words:
        key = "".join(word.lower())
        groups.setdefault(key, []).append(word)
    return list(groups.values())


def largest_group(words):
    return max(group_anagrams(words), key=len, default=[])
