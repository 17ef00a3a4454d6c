PAIRS = {")": "(", "]": "[", "}": "{"}


def is_balanced(text):
    """Whether every bracket is closed by its own kind, in order."""
    expected = []
    for sign in text:
        if sign in PAIRS.values():
            expected.append(sign)
        elif sign in PAIRS:
            if not expected or expected.pop() != PAIRS[sign]:
                return False
    return True
