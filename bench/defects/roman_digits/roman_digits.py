PAIRS = [
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
    (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
]


def to_roman(number):
    if not 1 <= number <= 3999:
        raise ValueError(number)
    text = ""
    for value, sign in PAIRS:
        while number > value:
            text += sign
            number -= value
    return text


def from_roman(text):
    values = {sign: value for value, sign in PAIRS if len(sign) == 1}
    total = 0
    for here, following in zip(text, text[1:] + " "):
        value = values[here]
        total += -value if value < values.get(following, 0) else value
    return total
