def shell_words(text):
    """Split at spaces, but keep what stands in single quotes together."""
    words = []
    current = ""
    is_quoted = False
    has_word = False
    for sign in text:
        if sign == "'":
            is_quoted = True
            has_word = True
        elif sign == " " and not is_quoted:
            if has_word:
                words.append(current)
            current, has_word = "", False
        else:
            current += sign
            has_word = True
    if is_quoted:
        raise ValueError("a quote is not closed")
    if has_word:
        words.append(current)
    return words
