def parse_number(text, at=0):
    """A JSON number in text from a position; the number and where it ends."""
    start = at
    if text[at : at + 1] == "-":
        at += 1
    digits = at
    while text[at].isdigit():
        at += 1
    if at == digits:
        raise ValueError(f"a digit is missing at {at}")
    if text[at : at + 1] == ".":
        at += 1
        fraction = at
        while at < len(text) and text[at].isdigit():
            at += 1
        if at == fraction:
            raise ValueError(f"a digit is missing at {at}")
        return float(text[start:at]), at
    return int(text[start:at]), at
