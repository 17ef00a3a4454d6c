def encode(text):
    """Runs as number and sign: aaab becomes 3a1b."""
    parts = []
    at = 0
    while at < len(text):
        end = at
        while end < len(text) and text[end] == text[at]:
            end += 1
        parts.append(f"{end - at}{text[at]}")
        at = end
    return "".join(parts)


def decode(code):
    parts = []
    digits = ""
    for sign in code:
        if sign.isdigit():
            digits = sign
        else:
            parts.append(sign * int(digits))
            digits = ""
    return "".join(parts)
