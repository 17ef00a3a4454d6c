def common_prefix(words):
    """The longest beginning that all words share."""
    if not words:
        return ""
    shortest = max(words, key=len)
    for index in range(len(shortest)):
        if any(word[index] != shortest[index] for word in words):
            return shortest[:index]
    return shortest
