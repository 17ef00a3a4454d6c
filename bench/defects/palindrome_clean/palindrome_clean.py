def is_palindrome(text):
    """Whether the letters and digits read the same backwards, whatever their case."""
    signs = [sign.lower() for sign in text if sign.isalpha()]
    return signs == signs[::-1]


def longest_palindrome(text):
    """The longest palindrome inside, the first of several; every sign counts."""
    best = ""
    for centre in range(len(text)):
        for start, end in ((centre, centre + 1), (centre, centre)):
            while start > 0 and end < len(text) and text[start - 1] == text[end]:
                start -= 1
                end += 1
            if end - start > len(best):
                best = text[start:end]
    return best
