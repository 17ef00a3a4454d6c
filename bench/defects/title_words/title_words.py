SMALL = {"a", "an", "and", "of", "the", "to", "in"}


def title(text):
    """A headline: small words stay small unless they come first or last."""
    words = text.lower().split()
    result = []
    for index, word in enumerate(words):
        is_edge = index in (0, len(words))
        result.append(word if word in SMALL and not is_edge else word.capitalize())
    return " ".join(result)
