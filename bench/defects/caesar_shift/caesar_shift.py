def shift(text, places):
    """Each letter moved that many places in the alphabet; all else stays."""
    moved = []
    for sign in text:
        if "a" <= sign <= "z":
            base = ord("a")
        elif "A" <= sign <= "Z":
            base = ord("A")
        else:
            moved.append(sign)
            continue
        moved.append(chr((ord(sign) - base + places) % 25 + base))
    return "".join(moved)
